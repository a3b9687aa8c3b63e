"""Parts of transcripts in order; `test_export.py` has what becomes of them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from stt.domain.speakers import RecordingSpeakers
from stt.store.database import Database
from stt.store.recordings import MongoRecordings
from stt.store.spans import UntranscribedSpan, read_spans
from stt.store.transcript_parts import PartReader
from stt.transcripts.formats import Gap
from tests.support.queue_builder import add_chunks, add_recording

DONE: dict[str, Any] = {
    "transcribed_at": datetime(2026, 1, 2, tzinfo=UTC),
    "transcript": {"segments": [{"start": 1.0, "end": 2.0, "text": "word"}]},
}


@pytest.fixture
def call(database: Database) -> ObjectId:
    """Two channels, each with a chunk of 30 s from 0 s and one from 30 s."""
    recording_id = add_recording(database, chunk_count=4, duration=60.0)
    for index in range(4):
        place: dict[str, Any] = {"offset": 30.0 * (index % 2), "channel": 1 + index // 2}
        add_chunks(database, 1, recording_id=recording_id, index=index, **place, **DONE)
    return recording_id


def reader(database: Database, recording_id: ObjectId) -> PartReader:
    recording = MongoRecordings(database).get(recording_id)
    spans = tuple(read_spans(database, recording_id))
    return PartReader(database, recording, spans, RecordingSpeakers())


def test_parts_of_all_channels_come_by_where_they_begin(database: Database, call: ObjectId) -> None:
    parts = list(reader(database, call).from_chunk(0))
    assert [(part.index, part.start) for part in parts] == [
        (0, 0.0),
        (2, 0.0),
        (1, 30.0),
        (3, 30.0),
    ]
    assert [cue.start for cue in reader(database, call).cues()] == [1.0, 1.0, 31.0, 31.0]


@pytest.mark.parametrize(("first", "rest"), [(2, [2, 1, 3]), (1, [1, 3]), (3, [3]), (4, [])])
def test_parts_go_on_from_a_chunk(
    database: Database, call: ObjectId, first: int, rest: list[int]
) -> None:
    assert [part.index for part in reader(database, call).from_chunk(first)] == rest


def test_what_is_missing_at_the_end_of_a_channel_is_missing(
    database: Database, call: ObjectId
) -> None:
    database.chunks.delete_many({"index": {"$in": [1, 3]}})
    gaps = [cue for cue in reader(database, call).cues() if isinstance(cue, Gap)]
    assert gaps == [Gap(30.0, 60.0), Gap(30.0, 60.0)]


def test_the_rest_of_a_channel_is_still_being_cut(database: Database, call: ObjectId) -> None:
    recording: dict[str, Any] = {"ingested_at": None, "chunk_count": None, "duration": None}
    database.recordings.update_one({"_id": call}, {"$set": recording})
    database.chunks.delete_one({"index": 3})
    *_, last = reader(database, call).from_chunk(0)
    assert last.content == UntranscribedSpan(30.0, 60.0, "cutting")
