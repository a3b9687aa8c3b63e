"""What a caller is shown of the queue: with stand-ins for the queue and the coordinator."""

from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import pytest
from bson import ObjectId

from stt.coordinator import dispatch
from stt.coordinator.authenticator import Person, Principal
from stt.coordinator.dispatch import Dispatcher
from stt.coordinator.errors import Forbidden
from stt.coordinator.offers import Offers
from stt.coordinator.reservations import Reservations
from stt.domain.chunk import Chunk
from stt.domain.claim import Claim, Order, Page
from stt.domain.node import Node
from stt.errors import ClaimLost

RECORDING = ObjectId()
CHUNKS = tuple(Chunk(ObjectId(), RECORDING, n, duration=30.0) for n in range(6))
MAC = Node("mac-1f2e", "Mac")
WORKER = "mac-1f2e_7"


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Stand in for the claims of a worker: all chunks are pending, and every claim succeeds."""
    queue = Mock()
    queue.page.side_effect = lambda limit, _: Page(CHUNKS[:limit], len(CHUNKS) <= limit)
    queue.claim.side_effect = lambda chunk, id_: Claim(id_, chunk, WORKER, 0.0)
    monkeypatch.setattr(dispatch, "MongoClaims", lambda *_: queue)
    monkeypatch.setattr(dispatch, "chunks_held_under", lambda *_: [])
    return queue


@pytest.fixture
def coordinator() -> Mock:
    coordinator = Mock(reservations=Reservations(), offers=Offers())
    coordinator.options.distributed = True
    coordinator.options.offline_seconds = 60
    coordinator.registry.snapshot.return_value = Mock(nodes={MAC.id: MAC})
    coordinator.settings.sequence_seconds = 60.0
    coordinator.roster.slots_alive.return_value = 1
    coordinator.roster.workers_alive.return_value = 1
    return coordinator


def dispatcher(coordinator: Mock, principal: Principal = MAC) -> Dispatcher:
    return Dispatcher(coordinator, principal, WORKER)


def reserve(monkeypatch: pytest.MonkeyPatch, slots: int) -> None:
    monkeypatch.setattr(dispatch, "reserved_slots", lambda *_: slots)


def shown(page: Page) -> list[int]:
    return [chunk.index for chunk in page.chunks]


def test_a_node_names_no_other_worker(coordinator: Mock) -> None:
    with pytest.raises(Forbidden):
        Dispatcher(coordinator, MAC, "other_1")
    Dispatcher(coordinator, Person(), "other_1")


@pytest.mark.parametrize(
    ("principal", "distributed", "is_open"),
    [
        (MAC, True, True),
        (MAC, False, False),
        (replace(MAC, is_enabled=False), True, False),
        (Person(), False, True),
    ],
)
def test_a_node_gets_work_if_it_and_the_fleet_are_switched_on(
    coordinator: Mock, queue: Mock, principal: Principal, distributed: bool, is_open: bool
) -> None:
    coordinator.options.distributed = distributed
    page = dispatcher(coordinator, principal).page(10, Order())
    assert bool(page.chunks) == is_open
    assert (page.next_due_seconds is None) == is_open  # a closed queue is not an empty one


def test_who_has_waited_reads_the_queue_only_if_something_is_pending(
    coordinator: Mock, queue: Mock
) -> None:
    coordinator.has_pending.get.return_value = False
    assert dispatcher(coordinator).page(10, Order(), is_repeat=True).chunks == ()
    queue.page.assert_not_called()
    assert shown(dispatcher(coordinator).page(3, Order())) == [0, 1, 2]  # one that has not waited
    coordinator.has_pending.get.return_value = True
    assert shown(dispatcher(coordinator).page(3, Order(), is_repeat=True)) == [0, 1, 2]


def wait_for_work(coordinator: Mock) -> Page:
    return dispatcher(coordinator).page(10, Order(), is_repeat=True, is_waiting=True)


def test_of_callers_that_wait_each_is_offered_another_run_and_the_queue_is_read_once_for_all(
    coordinator: Mock, queue: Mock
) -> None:
    coordinator.roster.slots_alive.return_value = 3
    coordinator.front.return_value.get.return_value = Page(CHUNKS, is_last=True)
    pages = [wait_for_work(coordinator) for _ in range(5)]
    assert [shown(page) for page in pages] == [[0, 1], [2, 3], [4, 5], [], []]
    assert [page.is_last for page in pages[:3]] == [False] * 3  # the others are pending, too
    assert all(page.next_due_seconds is not None for page in pages[3:])  # nor is it empty now
    queue.page.assert_not_called()


def test_an_offer_that_was_not_taken_up_is_made_to_the_next(
    coordinator: Mock, queue: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    coordinator.front.return_value.get.return_value = Page(CHUNKS[:1], is_last=True)
    monkeypatch.setattr("stt.coordinator.offers._OFFER_SECONDS", 0.0)
    assert [shown(wait_for_work(coordinator)) for _ in range(2)] == [[0], [0]]


def test_a_caller_that_does_not_wait_is_shown_all_that_is_not_offered(
    coordinator: Mock, queue: Mock
) -> None:
    coordinator.front.return_value.get.return_value = Page(CHUNKS, is_last=True)
    wait_for_work(coordinator)
    for _ in range(2):
        assert shown(dispatcher(coordinator).page(10, Order())) == [2, 3, 4, 5]


def test_of_a_long_queue_one_that_has_waited_reads_a_page_of_its_own(
    coordinator: Mock, queue: Mock
) -> None:
    coordinator.roster.workers_alive.return_value = 200
    coordinator.front.return_value.get.return_value = Page(CHUNKS[:4], is_last=False)
    waiting = dispatcher(coordinator).page(4, Order(), is_repeat=True, is_waiting=True)
    assert shown(waiting) == [0, 1, 2, 3]
    queue.page.assert_called_once_with(4, Order(readers=200))


def test_reserved_chunks_are_left_out_and_as_many_others_shown(
    coordinator: Mock, queue: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve(monkeypatch, 2)
    assert shown(dispatcher(coordinator).page(3, Order())) == [2, 3, 4]
    assert shown(dispatcher(coordinator, Person()).page(3, Order())) == [0, 1, 2]


def test_a_queue_that_is_reserved_whole_is_asked_for_again_soon(
    coordinator: Mock, queue: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve(monkeypatch, 6)
    page = dispatcher(coordinator).page(3, Order())
    assert (page.chunks, page.next_due_seconds) == ((), 2.0)


def test_what_was_reserved_for_too_long_is_shown_to_all(
    coordinator: Mock, queue: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve(monkeypatch, 2)
    monkeypatch.setattr("stt.coordinator.reservations._MAX_RESERVED_SECONDS", 0.0)
    assert shown(dispatcher(coordinator).page(3, Order())) == [0, 1, 2, 3, 4]


def taken(claims: list[Claim]) -> list[int]:
    return [claim.chunk.index for claim in claims]


def test_a_sequence_is_claimed_under_one_id_and_no_longer_than_a_call_may_be(
    coordinator: Mock, queue: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim_id = ObjectId()
    claims = dispatcher(coordinator).take(claim_id, 100)
    assert taken(claims) == [0, 1]  # 60 seconds
    assert {claim.id for claim in claims} == {claim_id}


def test_the_last_chunks_are_shared_among_all_slots_of_the_fleet(
    coordinator: Mock, queue: Mock
) -> None:
    coordinator.settings.sequence_seconds = 600.0
    coordinator.roster.slots_alive.return_value = 3
    assert len(dispatcher(coordinator).take(ObjectId(), 100)) == 2
    coordinator.roster.slots_alive.return_value = 50
    assert len(dispatcher(coordinator).take(ObjectId(), 100)) == 1


def test_what_is_held_under_the_same_id_is_returned_again(
    coordinator: Mock, queue: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "chunks_held_under", lambda *_: list(CHUNKS[:2]))
    claim_id = ObjectId()
    claims = dispatcher(coordinator).take(claim_id, 100)
    assert (taken(claims), claims[0].id) == ([0, 1], claim_id)
    queue.claim.assert_not_called()


def test_a_sequence_ends_at_a_chunk_that_another_worker_has(
    coordinator: Mock, queue: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.claim.side_effect = lambda chunk, id_: (
        None if chunk.index == 1 else Claim(id_, chunk, WORKER, 0.0)
    )
    assert taken(dispatcher(coordinator).take(ObjectId(), 100)) == [0]


def test_a_caller_that_is_always_second_gives_up_after_three_tries(
    coordinator: Mock, queue: Mock
) -> None:
    queue.claim.side_effect = None
    queue.claim.return_value = None
    assert dispatcher(coordinator).take(ObjectId(), 100) == []
    assert queue.claim.call_count == 3


@pytest.mark.parametrize("error", [None, ClaimLost("taken")])
def test_a_chunk_that_turns_out_to_have_failed_before_is_given_back(
    coordinator: Mock, queue: Mock, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:

    def claim(chunk: Chunk, id_: Any) -> Claim:
        found = replace(chunk, attempts=1) if chunk.index == 1 else chunk
        return Claim(id_, found, WORKER, 0.0)

    queue.claim.side_effect = claim
    queue.release.side_effect = error
    assert taken(dispatcher(coordinator).take(ObjectId(), 100)) == [0]
    [call] = queue.release.call_args_list
    assert call.args[0].chunk.index == 1
