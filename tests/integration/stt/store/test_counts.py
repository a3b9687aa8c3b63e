"""Counts of chunks by state and recording, and sums of their audio."""

from datetime import timedelta

import pytest
from bson import ObjectId

from stt.store import counts
from stt.store.counts import (
    RecordingSums,
    StateCounts,
    Totals,
    sum_up,
    sums_by_recording,
    sums_of_all,
)
from stt.store.database import Database, Document
from stt.store.states import PENDING
from tests.support.queue_builder import add_chunks, add_recording

WORDS = {"segments": [{"start": 0.0, "end": 1.0, "text": "word"}]}


def test_chunks_are_counted_by_recording_and_state(database: Database) -> None:
    now = database.server_time()
    one, other = add_recording(database), add_recording(database)
    ids = add_chunks(database, 5, recording_id=one)
    held: dict[str, object] = {"processing_by": "box_1", "claimed_at": now}
    database.chunks.update_many({"_id": {"$in": ids[3:]}}, {"$set": held})
    done, failed = add_chunks(database, 2, recording_id=other)
    said: dict[str, object] = {"transcribed_at": now, "transcript": WORDS}
    database.chunks.update_one({"_id": done}, {"$set": said})
    database.chunks.update_one({"_id": failed}, {"$set": {"failed_at": now}})
    found = sums_by_recording(database, {})
    assert found == {
        one: RecordingSums(StateCounts(pending=3, processing=2)),
        other: RecordingSums(StateCounts(transcribed=1, failed=1)),
    }
    assert (found[one].counts.total, found[one].counts.open) == (5, 5)
    assert (found[other].counts.total, found[other].counts.open) == (2, 0)
    assert sums_by_recording(database, {"original_id": other}) == {other: found[other]}


class TestSumsOfAll:
    """With counts in an index, as the embedded database has them: the sums are the same."""

    @pytest.fixture
    def filled(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
        now = database.server_time()
        one, other, _ = (add_recording(database) for _ in range(3))
        add_chunks(database, 3, recording_id=one)
        add_chunks(database, 1, transcribed_at=now, transcript=WORDS | {"silent_speech_seconds": 2})
        ids = add_chunks(database, 4, recording_id=other, processing_by="box_1", claimed_at=now)
        database.chunks.update_one({"_id": ids[0]}, {"$set": {"transcribed_at": now}})
        database.chunks.update_one({"_id": ids[1]}, {"$set": {"failed_at": now}})
        database.chunks.update_one({"_id": ids[2]}, {"$unset": {"processing_by": 1}})
        database.counts_by_index = True
        monkeypatch.setattr(counts, "_CHUNKS_PER_COUNT", 0)
        return database

    @pytest.fixture
    def queries(self, monkeypatch: pytest.MonkeyPatch) -> list[Document]:
        """The chunks that were read, as queries."""
        found: list[Document] = []

        def note(database: Database, query: Document) -> object:
            found.append(query)
            return sums_by_recording(database, query)

        monkeypatch.setattr(counts, "sums_by_recording", note)
        return found

    def test_pending_chunks_are_not_read(self, filled: Database, queries: list[Document]) -> None:
        assert sums_of_all(filled) == sums_by_recording(filled, {})
        assert queries == [{"$nor": [PENDING]}]

    def test_chunks_without_a_recording_are_summed_up_too(self, filled: Database) -> None:
        filled.chunks.insert_many([{"index": 1}, {"original_id": ObjectId(), "index": 2}])
        assert sums_of_all(filled) == sums_by_recording(filled, {})
        assert len(sums_of_all(filled)) == 5

    def test_more_recordings_than_are_worth_a_count_each_are_summed_up_together(
        self, filled: Database, queries: list[Document], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(counts, "_CHUNKS_PER_COUNT", 50)
        assert sums_of_all(filled) == sums_by_recording(filled, {})
        assert queries == [{}]

    def test_chunks_that_come_and_go_meanwhile_are_not_mixed(
        self, filled: Database, queries: list[Document], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        count_chunks = filled.count_chunks

        def count_and_add(query: Document) -> int:
            found = count_chunks(query)
            if not query:
                add_chunks(filled, 1)
            return found

        monkeypatch.setattr(filled, "count_chunks", count_and_add)
        assert sums_of_all(filled) == sums_by_recording(filled, {})
        assert queries == [{"$nor": [PENDING]}, {}]


@pytest.mark.parametrize("odd", [None, ["a", "list"], {"an": "object"}], ids=str)
def test_an_odd_id_of_a_recording_can_be_counted_too(database: Database, odd: object) -> None:
    database.chunks.insert_one({"_id": ObjectId(), "original_id": odd})
    [sums] = sums_by_recording(database, {}).values()
    assert sums.counts == StateCounts(pending=1)


def test_speech_that_gave_no_text_is_summed_up_by_recording(database: Database) -> None:
    recording_id = add_recording(database)
    ids = add_chunks(database, 5, recording_id=recording_id)
    for id_, seconds in zip(ids, (1.5, 2, None, "odd"), strict=False):
        transcript = WORDS | {"silent_speech_seconds": seconds}
        done = {"transcribed_at": database.server_time(), "transcript": transcript}
        database.chunks.update_one({"_id": id_}, {"$set": done})
    assert sums_by_recording(database, {})[recording_id].silent_speech_seconds == 3.5


def test_sums_have_the_seconds_of_audio_and_when_the_first_was_transcribed(
    database: Database,
) -> None:
    now = database.server_time()
    times = [now - timedelta(seconds=seconds) for seconds in (10, 30, 20)]
    for time in times:
        add_chunks(database, 1, transcribed_at=time, transcript=WORDS)
    assert sum_up(database, {}, now) == Totals(3, 90.0, 0, 0, min(times))


def test_channels_that_are_transcribed_one_by_one_do_not_multiply_the_audio(
    database: Database,
) -> None:
    now = database.server_time()
    add_chunks(database, 2)
    for channel in (1, 2, 3):
        add_chunks(database, 1, channel=channel, channels=3, transcribed_at=now, transcript=WORDS)
    add_chunks(database, 1, channels="three", duration="long")
    assert sum_up(database, {}, now) == Totals(6, 90.0, 3, 0, now)


@pytest.mark.parametrize(
    ("transcript", "is_empty"),
    [(WORDS, 0), ({"segments": []}, 1), ({"segments": None}, 1), ({}, 1), (None, 1)],
    ids=str,
)
def test_a_transcript_without_segments_is_empty(
    database: Database, transcript: object, is_empty: int
) -> None:
    now = database.server_time()
    add_chunks(database, 1, transcribed_at=now, transcript=transcript)
    assert sum_up(database, {}, now).empty == is_empty


def test_a_chunk_rests_until_its_time_has_come(database: Database) -> None:
    now = database.server_time()
    for seconds in (-1, 1, 60):
        add_chunks(database, 1, not_before=now + timedelta(seconds=seconds))
    assert sum_up(database, {}, now).resting == 2


def test_nothing_sums_up_to_nothing_and_odd_durations_count_for_none(database: Database) -> None:
    now = database.server_time()
    assert sum_up(database, {}, now) == Totals(0, 0.0, 0, 0, None)
    add_chunks(database, 1, duration="long")
    add_chunks(database, 1, duration=None)
    assert sum_up(database, {}, now).audio_seconds == 0.0
