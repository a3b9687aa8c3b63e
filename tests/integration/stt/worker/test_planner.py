"""Dealing the page of a real queue to threads."""

import time
from typing import Any, NoReturn

import pytest

from stt.domain.chunk import ChunkRun
from stt.domain.claim import Order, Queue, WorkerReport
from stt.domain.transcript import Transcript
from stt.errors import DatabaseUnavailable
from stt.settings import load_settings
from stt.store.claimed_recordings import ClaimedRecordings
from stt.store.claims import MongoClaims
from stt.store.database import Database
from stt.store.growing_recordings import note
from stt.store.recordings import MongoRecordings
from stt.store.workers import MongoRoster
from stt.worker.arrivals import Arrivals
from stt.worker.planner import Planner
from stt.worker.stop_conditions import StopConditions
from tests.support.queue_builder import add_chunks, add_recording


def conditions_of(**flags: Any) -> StopConditions:
    return StopConditions(load_settings(**flags))


def planner(
    database: Database,
    claims: MongoClaims,
    *,
    limit: int | None = None,
    page_size: int = 100,
    recordings: int | None = None,
    calls: int = 4,
    conditions: StopConditions | None = None,
) -> Planner:
    queue = Queue(claims, ClaimedRecordings(MongoRecordings(database)), MongoRoster(database))
    settings = load_settings(
        page_size=page_size,
        sequence_seconds=300,
        max_concurrent_jobs=recordings,
        max_parallel_workers=calls,
    )
    return Planner(queue, settings, Order(), limit, conditions or conditions_of())


def reason(conditions: StopConditions) -> str | None:
    return conditions.reason(is_busy=False, is_hindered=False)


def claim_all(claims: MongoClaims, plan: Planner, run: ChunkRun) -> None:
    for chunk in run:
        assert claims.claim(chunk)
    plan.claimed(run, missed=False)


def dealt(plan: Planner) -> list[list[int]]:
    """All that is dealt before the planner finds nothing left."""
    chunk_runs = []
    while isinstance(sequence := plan.next(), tuple):
        chunk_runs.append([chunk.index for chunk in sequence])
    return chunk_runs


def test_checks_of_an_empty_queue_are_counted_once_for_all_threads_and_far_apart(
    database: Database, alice: MongoClaims
) -> None:
    conditions = conditions_of(required_empty_checks=2, empty_queue_wait_seconds=0.3)
    plan = planner(database, alice, conditions=conditions)
    waits = [plan.next() for _ in range(3)]
    assert all(isinstance(wait, float) and 0 < wait <= 0.3 for wait in waits)
    assert reason(conditions) is None
    time.sleep(0.3)
    plan.next()
    assert reason(conditions) == "the queue is empty (2 of 2 checks)"


def test_a_chunk_that_comes_between_two_checks_makes_them_count_anew(
    database: Database, alice: MongoClaims
) -> None:
    conditions = conditions_of(required_empty_checks=2, empty_queue_wait_seconds=0)
    plan = planner(database, alice, conditions=conditions)
    plan.next()
    add_chunks(database, 1)
    sequence = plan.next()
    assert isinstance(sequence, tuple)
    claim = alice.claim(sequence[0])
    assert claim is not None
    plan.claimed(sequence, missed=False)
    plan.next()
    assert reason(conditions) is None  # it is in work here
    alice.complete(claim, Transcript())
    plan.ended(sequence, unspent=0)
    plan.next()
    assert reason(conditions) is None
    plan.next()
    assert reason(conditions) == "the queue is empty (2 of 2 checks)"


def test_a_database_that_does_not_answer_is_no_empty_queue(
    database: Database, alice: MongoClaims, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> NoReturn:
        raise DatabaseUnavailable("away")

    conditions = conditions_of(required_empty_checks=2, empty_queue_wait_seconds=0)
    plan = planner(database, alice, conditions=conditions)
    plan.next()
    with monkeypatch.context() as outage:
        outage.setattr(alice, "page", away)
        with pytest.raises(DatabaseUnavailable):
            plan.next()
    plan.next()
    assert reason(conditions) is None
    plan.next()
    assert reason(conditions) == "the queue is empty (2 of 2 checks)"


def test_a_lone_worker_gets_long_sequences(database: Database, alice: MongoClaims) -> None:
    add_chunks(database, 12)
    plan = planner(database, alice)
    assert dealt(plan) == [list(range(10)), [10, 11]]


@pytest.mark.parametrize("recordings", [None, 1])
def test_sequences_are_as_long_while_a_recording_is_being_cut(
    database: Database, alice: MongoClaims, recordings: int | None
) -> None:
    id_ = add_recording(database, language="en", ingested_at=None)
    add_chunks(database, 24, recording_id=id_)
    documents = list(database.chunks.find().sort("index"))
    database.chunks.delete_many({})
    plan = planner(database, alice, recordings=recordings, calls=1)
    lengths = []
    for index in range(0, 24, 4):
        note(database, id_, 24)
        database.chunks.insert_many(documents[index : index + 4])
        while isinstance(run := plan.next(), tuple):
            lengths.append(len(run))
            claim_all(alice, plan, run)
        assert 0 < run < 1
        plan._wait_until = 0.0
    database.recordings.update_one({"_id": id_}, {"$currentDate": {"ingested_at": True}})
    lengths += map(len, dealt(plan))
    assert lengths == [10, 10, 4]


def test_the_queue_is_not_empty_until_all_recordings_have_come(
    database: Database, alice: MongoClaims
) -> None:
    conditions = conditions_of(required_empty_checks=1, empty_queue_wait_seconds=0)
    arrivals = Arrivals()
    first = add_recording(database, language="en")
    arrivals.add(first)
    plan = planner(database, alice, conditions=conditions)
    plan._arrivals = arrivals
    add_chunks(database, 5)  # of another recording, which has not come
    wait = plan.next()
    assert isinstance(wait, float)
    assert wait < 1
    assert (reason(conditions), plan.is_idle) == (None, False)
    fill_fleet(database, 4)
    add_chunks(database, 2, recording_id=first)
    arrivals.expected_chunks = 40  # so that two chunks are no more than a share
    plan._wait_until = 0.0
    plan._queue = Queue(alice, plan._queue.recordings, MongoRoster(database))
    assert dealt(plan) == [[0, 1]]
    arrivals.end()
    database.chunks.delete_many({"original_id": first})
    plan._in_work.clear()
    plan._wait_until = 0.0
    plan.next()
    assert reason(conditions) == "the queue is empty (1 of 1 checks)"


def test_a_big_fleet_gets_fair_shares(database: Database, alice: MongoClaims) -> None:
    add_chunks(database, 12)
    for number in range(3):
        report = WorkerReport("host", number, "1", "http://s", "working", 2, (), {})
        MongoRoster(database).report(f"host_{number}", report)
    assert sorted(dealt(planner(database, alice))) == [[n, n + 1] for n in range(0, 12, 2)]


def fill_fleet(database: Database, count: int) -> None:
    for number in range(count):
        report = WorkerReport("host", number, "1", "http://s", "working", 1, (), {})
        MongoRoster(database).report(f"host_{number}", report)


def test_workers_that_start_at_once_begin_at_different_runs(
    database: Database, alice: MongoClaims
) -> None:
    for _ in range(40):
        add_chunks(database, 1)
    fill_fleet(database, 30)
    begins = set()
    for _ in range(30):
        run = planner(database, alice).next()
        assert isinstance(run, tuple)
        begins.add(run[0].id)
    assert len(begins) > 10  # of 40, drawn 30 times: 21 on average


def test_a_lone_worker_begins_with_the_oldest(database: Database, alice: MongoClaims) -> None:
    ids = [add_chunks(database, 1)[0] for _ in range(20)]
    fill_fleet(database, 1)
    for _ in range(5):
        run = planner(database, alice).next()
        assert isinstance(run, tuple)
        assert run[0].id == ids[0]


def test_chunks_of_a_higher_priority_come_first_wherever_a_worker_begins(
    database: Database, alice: MongoClaims
) -> None:
    for _ in range(20):
        add_chunks(database, 1)
    urgent = {add_chunks(database, 1, priority=5)[0] for _ in range(6)}
    fill_fleet(database, 30)
    plan = planner(database, alice)
    seen = set()
    for number in range(6):
        run = plan.next()
        assert isinstance(run, tuple)
        seen.add(run[0].id)
        plan.claimed(run, missed=number in (1, 3, 4))
    assert seen == urgent


def test_what_one_thread_is_about_to_claim_is_not_dealt_to_another(
    database: Database, alice: MongoClaims
) -> None:
    add_chunks(database, 2)
    plan = planner(database, alice)
    first = plan.next()
    assert isinstance(first, tuple)
    assert isinstance(plan.next(), float)
    plan.claimed(first, missed=True)
    plan.ended(first, unspent=2)
    assert plan.next() == first


def test_an_excluded_chunk_is_dealt_no_more_and_hides_no_other(
    database: Database, alice: MongoClaims
) -> None:
    odd, *_ = add_chunks(database, 3)
    plan = planner(database, alice, page_size=1)
    plan.exclude(odd)
    assert dealt(plan) == [[1], [2]]


def test_a_page_of_excluded_chunks_alone_is_no_empty_queue_if_there_are_others(
    database: Database, alice: MongoClaims, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a page that begins at a random place, or what a coordinator offers."""
    odd, _ = add_chunks(database, 2)
    page = alice.page(1, Order())
    assert ([chunk.id for chunk in page.chunks], page.is_last) == ([odd], False)
    monkeypatch.setattr(alice, "page", lambda *_: page)
    conditions = conditions_of(required_empty_checks=1, empty_queue_wait_seconds=0)
    plan = planner(database, alice, conditions=conditions)
    plan.exclude(odd)
    assert isinstance(plan.next(), float)
    assert not plan.is_idle
    assert reason(conditions) is None


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
    conditions = conditions_of()
    plan = planner(database, alice, limit=4, conditions=conditions)
    first, second = plan.next(), plan.next()
    assert isinstance(first, tuple)
    assert [chunk.index for chunk in first] == [0, 1, 2, 3]
    assert isinstance(second, float)
    plan.ended(first, unspent=1)
    last, nothing = plan.next(), plan.next()
    assert isinstance(last, tuple)
    assert [chunk.index for chunk in last] == [4]
    assert isinstance(nothing, float)
    assert reason(conditions) is None
    plan.ended(last, unspent=0)
    plan.next()
    assert reason(conditions) == "the limit of 4 chunks is reached (--limit)"


def test_a_page_full_of_resting_chunks_is_waited_for(
    database: Database, alice: MongoClaims
) -> None:
    add_chunks(database, 1)
    claim = alice.claim(alice.page(1, Order()).chunks[0])
    assert claim is not None
    alice.fail(claim, "refused", "odd")
    conditions = conditions_of(required_empty_checks=1)
    wait = planner(database, alice, conditions=conditions).next()
    assert isinstance(wait, float)
    assert 0 < wait <= 5.1
    assert reason(conditions) is None


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


class TestMaxConcurrentJobs:
    """Recordings that begin at the same time: their chunks take turns in a page."""

    def end(self, plan: Planner, claims: MongoClaims, run: ChunkRun) -> None:
        for chunk in run:
            claim = claims.claim(chunk)
            assert claim is not None
            claims.complete(claim, Transcript())
        plan.claimed(run, missed=False)
        plan.ended(run, unspent=0)

    def run_of(self, plan: Planner) -> ChunkRun:
        run = plan.next()
        assert isinstance(run, tuple)
        return run

    @pytest.mark.parametrize("page_size", [8, 100])
    @pytest.mark.parametrize(("recordings", "begun"), [(1, 1), (2, 2), (None, 4)])
    def test_one_is_finished_before_all_are_begun(
        self,
        database: Database,
        alice: MongoClaims,
        page_size: int,
        recordings: int | None,
        begun: int,
    ) -> None:
        for _ in range(4):
            add_chunks(database, 12)
        plan = planner(database, alice, recordings=recordings, page_size=page_size)
        left: dict[object, int] = {}
        most = 0
        for _ in range(100):
            run = plan.next()
            if isinstance(run, float):
                break
            id_ = run[0].recording_id
            left[id_] = left.get(id_, 12) - len(run)
            most = max(most, sum(1 for count in left.values() if count))
            self.end(plan, alice, run)
        assert list(left.values()) == [0] * 4
        assert most == begun

    def test_the_calls_of_a_worker_share_a_recording(
        self, database: Database, alice: MongoClaims
    ) -> None:
        add_chunks(database, 10)
        later = add_chunks(database, 10)
        plan = planner(database, alice, recordings=1, calls=4)
        runs = [self.run_of(plan) for _ in range(4)]
        assert [[chunk.index for chunk in run] for run in runs] == [
            [0, 1, 2], [3, 4, 5], [6, 7, 8], [9],
        ]  # fmt: skip
        for run in runs:
            assert isinstance(wait := plan.next(), float)  # the other one is not begun
            assert 0 < wait <= 0.2
            assert not plan.is_dry
            self.end(plan, alice, run)
        assert self.run_of(plan)[0].id == later[0]

    def test_what_was_given_back_comes_before_another_is_begun(
        self, database: Database, alice: MongoClaims
    ) -> None:
        first = add_chunks(database, 3)
        add_chunks(database, 3)
        plan = planner(database, alice, recordings=1, calls=1)
        run = self.run_of(plan)
        plan.claimed(run, missed=False)
        plan.ended(run, unspent=3)
        assert [chunk.id for chunk in self.run_of(plan)] == first

    def test_a_recording_that_only_rests_after_a_failure_holds_up_no_other(
        self, database: Database, alice: MongoClaims
    ) -> None:
        add_chunks(database, 1)
        [other] = add_chunks(database, 1)
        plan = planner(database, alice, recordings=1)
        run = self.run_of(plan)
        claim = alice.claim(run[0])
        assert claim is not None
        alice.fail(claim, "refused", "odd")
        plan.claimed(run, missed=False)
        plan.ended(run, unspent=0)
        assert self.run_of(plan)[0].id == other

    def test_chunks_that_name_no_recording_take_their_turn_too(
        self, database: Database, alice: MongoClaims
    ) -> None:
        ids = add_chunks(database, 3)
        database.chunks.update_one({"_id": ids[1]}, {"$unset": {"original_id": ""}})
        database.chunks.update_one({"_id": ids[2]}, {"$set": {"original_id": "of others"}})
        plan = planner(database, alice, recordings=1)
        seen = []
        while isinstance(run := plan.next(), tuple):
            seen.append(run[0].id)
            self.end(plan, alice, run)
        assert seen == ids

    def test_an_empty_queue_is_found_empty_after_it(
        self, database: Database, alice: MongoClaims
    ) -> None:
        add_chunks(database, 2)
        conditions = conditions_of(required_empty_checks=1, empty_queue_wait_seconds=0)
        plan = planner(database, alice, recordings=1, conditions=conditions)
        while isinstance(run := plan.next(), tuple):
            assert reason(conditions) is None
            self.end(plan, alice, run)
        assert plan.is_idle
        assert reason(conditions) == "the queue is empty (1 of 1 checks)"

    def test_a_chunk_of_a_list_of_recordings_is_dealt_as_one_of_none_of_them(
        self, database: Database, alice: MongoClaims
    ) -> None:
        ids = add_chunks(database, 2)
        document = database.chunks.find_one({"_id": ids[1]})
        assert document is not None
        listed = {"original_id": [document["original_id"]]}
        database.chunks.update_one({"_id": ids[1]}, {"$set": listed})
        plan = planner(database, alice, recordings=1, page_size=1)
        seen = []
        while isinstance(run := plan.next(), tuple):
            seen.append(run[0].id)
            self.end(plan, alice, run)
        assert seen == ids
