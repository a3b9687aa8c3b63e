"""Dealing the page of a real queue to lanes."""

import pytest

from stt.claim import Order
from stt.claims import MongoClaims
from stt.database import Database
from stt.fleet import Fleet, WorkerReport
from stt.planner import Planner, PlanRules, Wait
from tests.queue_builder import add_chunks


def planner(
    database: Database,
    claims: MongoClaims,
    *,
    limit: int | None = None,
    watch: bool = False,
    page_size: int = 100,
) -> Planner:
    rules = PlanRules(Order(), limit, watch, page_size, sequence_seconds=300)
    return Planner(claims, Fleet(database), rules)


def dealt(plan: Planner) -> list[list[int]]:
    """All that is dealt before the planner says that nothing is left; every claim is a miss."""
    sequences = []
    while isinstance(sequence := plan.next(), tuple):
        sequences.append([chunk.index for chunk in sequence])
    return sequences


def test_an_empty_queue_has_nothing_to_do(database: Database, alice: MongoClaims) -> None:
    assert planner(database, alice).next() is None


def test_a_lone_worker_gets_long_sequences(database: Database, alice: MongoClaims) -> None:
    add_chunks(database, 12)
    plan = planner(database, alice)
    assert dealt(plan) == [list(range(10)), [10, 11]]


def test_a_big_fleet_gets_fair_shares(database: Database, alice: MongoClaims) -> None:
    add_chunks(database, 12)
    for number in range(3):
        report = WorkerReport("host", number, "1", "http://s", "working", 2, (), {})
        Fleet(database).report(f"host_{number}", report)
    assert dealt(planner(database, alice)) == [[n, n + 1] for n in range(0, 12, 2)]


def test_what_one_lane_is_about_to_claim_is_not_dealt_to_another(
    database: Database, alice: MongoClaims
) -> None:
    add_chunks(database, 2)
    plan = planner(database, alice)
    first = plan.next()
    assert isinstance(first, tuple)
    assert plan.next() is None
    plan.claimed(first, missed=True)
    assert plan.next() == first


def test_three_misses_in_a_row_read_a_new_page(database: Database, alice: MongoClaims) -> None:
    for _ in range(5):
        add_chunks(database, 1)
    plan = planner(database, alice)
    for _ in range(3):
        sequence = plan.next()
        assert isinstance(sequence, tuple)
        plan.claimed(sequence, missed=True)
    [newcomer] = add_chunks(database, 1, priority=9)
    fresh = plan.next()
    assert isinstance(fresh, tuple)
    assert fresh[0].id == newcomer


def test_the_limit_is_given_back_by_chunks_that_were_not_ended(
    database: Database, alice: MongoClaims
) -> None:
    add_chunks(database, 6)
    plan = planner(database, alice, limit=4)
    assert dealt(plan) == [[0, 1, 2, 3]]
    plan.give_back(1)
    assert dealt(plan) == [[4]]


def test_a_page_full_of_resting_chunks_is_waited_for(
    database: Database, alice: MongoClaims
) -> None:
    add_chunks(database, 1)
    claim = alice.claim(alice.page(1, Order()).chunks[0])
    assert claim is not None
    alice.fail(claim, "refused", "odd")
    wait = planner(database, alice).next()
    assert isinstance(wait, Wait)
    assert 0 < wait.seconds <= 5.1


def test_watching_means_waiting_on_an_empty_queue(database: Database, alice: MongoClaims) -> None:
    assert isinstance(planner(database, alice, watch=True).next(), Wait)


@pytest.mark.parametrize("page_size", [1, 5])
def test_small_pages_miss_nothing(database: Database, alice: MongoClaims, page_size: int) -> None:
    ids = set(add_chunks(database, 8))
    plan = planner(database, alice, page_size=page_size)
    seen = []
    while isinstance(sequence := plan.next(), tuple):
        for chunk in sequence:
            assert alice.claim(chunk) is not None
            seen.append(chunk.id)
        plan.claimed(sequence, missed=False)
    assert sorted(map(str, seen)) == sorted(map(str, ids))
