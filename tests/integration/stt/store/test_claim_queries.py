"""Pages of pending chunks: their order, and what they leave out."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from pymongo.cursor import Cursor

from stt.domain.chunk import Chunk
from stt.domain.claim import Claims, Order, Pending
from stt.domain.transcript import Transcript
from stt.store import claim_queries
from stt.store.database import Database
from tests.support.queue_builder import add_chunks, add_recording, claimed, document


@pytest.fixture
def alice(reach: Callable[[str], Claims]) -> Claims:
    return reach("alice_1")


def index_of(cursor: Cursor[dict[str, Any]]) -> str:
    """The index that the server says it would read."""
    found = re.findall(r"'indexName': '(\w+)'", str(cursor.explain()["queryPlanner"]))
    assert found, "no index at all"
    return str(found[0])


def test_a_chunk_at_rest_is_pending_and_one_that_is_processed_is_not(database: Database) -> None:
    assert not claim_queries.has_pending(database)
    [id_] = add_chunks(database, 1, not_before=database.server_time() + timedelta(hours=1))
    assert claim_queries.has_pending(database)
    database.chunks.update_one({"_id": id_}, {"$set": {"processing_by": "a_1"}})
    assert not claim_queries.has_pending(database)


class TestPaging:
    def test_pending_chunks_come_by_priority_then_age(
        self, database: Database, alice: Claims
    ) -> None:
        [late] = add_chunks(database, 1, start=database.server_time())
        old = add_chunks(database, 2)
        [urgent] = add_chunks(database, 1, priority=5, start=database.server_time())
        page = alice.page(10, Order())
        assert [c.id for c in page.chunks] == [urgent, *old, late]
        assert page.is_last

    def test_newest_first_turns_age_around_but_not_priority(
        self, database: Database, alice: Claims
    ) -> None:
        old = add_chunks(database, 2)
        [urgent] = add_chunks(database, 1, priority=5)
        page = alice.page(10, Order(newest_first=True))
        assert [c.id for c in page.chunks] == [urgent, *reversed(old)]

    def test_a_full_page_says_that_there_is_more(self, database: Database, alice: Claims) -> None:
        ids = add_chunks(database, 5)
        page = alice.page(3, Order())
        assert [c.id for c in page.chunks] == ids[:3]
        assert not page.is_last

    def test_a_page_of_some_sources_leaves_the_others_alone(
        self, database: Database, alice: Claims
    ) -> None:
        add_chunks(database, 3)
        wanted = add_recording(database)
        ids = add_chunks(database, 2, recording_id=wanted)
        order = Order(recordings=(wanted,))
        assert [c.id for c in alice.page(10, order).chunks] == ids
        assert alice.count_pending(order) == 2
        assert alice.count_pending(Order()) == 5
        assert alice.pending(order) == Pending(2, 60.0)

    def test_what_is_pending_is_as_long_as_its_recordings_also_with_channels_and_without_length(
        self, database: Database, alice: Claims, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert alice.pending(Order()) == Pending(0, 0.0)
        add_chunks(database, 1, channel=1, channels=2, duration=20.0)
        add_chunks(database, 1, channel=2, channels=2, duration=20.0)
        add_chunks(database, 1, duration=None)
        assert alice.pending(Order()) == Pending(3, 50.0)
        monkeypatch.setattr("stt.store.claim_queries._MEASURED_CHUNKS", 2)
        assert alice.pending(Order()) == Pending(3, 30.0)  # as long as the first two, on average

    def test_chunks_at_rest_are_skipped_without_shortening_the_page(
        self, database: Database, alice: Claims
    ) -> None:
        rest_until = database.server_time() + timedelta(seconds=40)
        resting = add_chunks(database, 2, not_before=rest_until, attempts=1)
        ready = add_chunks(database, 2)
        page = alice.page(2, Order())
        assert [c.id for c in page.chunks] == ready
        assert not set(resting) & {c.id for c in page.chunks}
        assert page.next_due_seconds is not None
        assert 0 < page.next_due_seconds <= 40

    def test_a_chunk_whose_rest_is_ended_while_the_page_is_read_is_in_it(
        self, database: Database, alice: Claims, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rest_until = database.server_time() + timedelta(seconds=40)
        [resting] = add_chunks(database, 1, not_before=rest_until, attempts=1)
        first_at_rest = claim_queries._first_at_rest

        def end_rest(*arguments: Any) -> list[datetime]:
            database.chunks.update_one({"_id": resting}, {"$set": {"not_before": None}})
            return first_at_rest(*arguments)

        monkeypatch.setattr(claim_queries, "_first_at_rest", end_rest)
        assert [c.id for c in alice.page(10, Order()).chunks] == [resting]

    def test_chunks_whose_rest_is_over_come_in_their_places(
        self, database: Database, alice: Claims
    ) -> None:
        now = database.server_time()
        first, second, third, fourth = add_chunks(database, 4)
        for rested, not_before in ((first, now - timedelta(hours=1)), (third, "soon"), (fourth, 3)):
            database.chunks.update_one({"_id": rested}, {"$set": {"not_before": not_before}})
        [urgent] = add_chunks(database, 1, priority=5, not_before=now - timedelta(seconds=1))
        in_order = [urgent, first, second, third, fourth]
        assert [c.id for c in alice.page(10, Order()).chunks] == in_order
        newest = alice.page(10, Order(newest_first=True))
        assert [c.id for c in newest.chunks] == [urgent, fourth, third, second, first]
        short = alice.page(3, Order())
        assert [c.id for c in short.chunks] == in_order[:3]
        assert not short.is_last

    def test_more_poison_candidates_than_a_page_hide_no_other_chunk(
        self, database: Database, alice: Claims
    ) -> None:
        before = database.server_time() - timedelta(hours=1)
        candidates = add_chunks(database, 5, solo=True, attempts=1, not_before=before)
        [rested] = add_chunks(database, 1, attempts=1, not_before=before + timedelta(minutes=1))
        page = alice.page(2, Order())
        ids = {c.id for c in page.chunks}
        assert rested in ids
        assert len(ids & set(candidates)) <= 1

    def test_poison_candidates_that_are_put_off_leave_the_priorities_as_they_are(
        self, database: Database, alice: Claims
    ) -> None:
        before = database.server_time() - timedelta(hours=1)
        add_chunks(database, 1, solo=True)
        add_chunks(database, 3, solo=True, attempts=1, not_before=before)
        [urgent] = add_chunks(database, 1, priority=5)
        assert alice.page(2, Order()).chunks[0].id == urgent

    def test_done_claimed_and_quarantined_chunks_are_not_pending(
        self, database: Database, alice: Claims
    ) -> None:
        now = database.server_time()
        add_chunks(database, 1, transcribed_at=now)
        add_chunks(database, 1, failed_at=now)
        add_chunks(database, 1, processing_by="bob_2", claimed_at=now)
        assert alice.page(10, Order()).chunks == ()

    def test_a_sparse_document_of_another_program_is_pending(
        self, database: Database, alice: Claims
    ) -> None:
        recording_id = add_recording(database)
        sparse = {
            "original_id": recording_id,
            "index": 0,
            "data": b"x",
            "vad": {"has_speech": False},
        }
        inserted = database.chunks.insert_one(sparse).inserted_id
        [found] = alice.page(10, Order()).chunks
        assert found == Chunk(id=inserted, recording_id=recording_id, index=0, has_speech=False)
        claim = claimed(alice, found)
        alice.complete(claim, Transcript())
        assert document(database, inserted)["transcript"]["segments"] == []

    def test_a_document_with_nonsense_in_it_does_not_stop_the_page(
        self, database: Database, alice: Claims
    ) -> None:
        odd = {"index": "x", "attempts": None, "start": "soon", "duration": "long", "vad": 3}
        database.chunks.insert_one(odd | {"original_id": add_recording(database)})
        [good] = add_chunks(database, 1)
        assert good in [c.id for c in alice.page(10, Order()).chunks]

    def test_the_page_is_read_from_its_index(self, database: Database) -> None:
        add_chunks(database, 3)
        order = Order()
        new = {**claim_queries._query(order), "not_before": None}
        page = database.chunks.find(new).sort(claim_queries._sort(order))
        assert index_of(page) == "pages"

    def test_the_chunks_of_a_source_are_read_from_their_index(self, database: Database) -> None:
        recording_id = add_recording(database)
        add_chunks(database, 3, recording_id=recording_id)
        cursor = database.chunks.find({"original_id": recording_id}).sort("index")
        assert index_of(cursor) == "place"
