"""Places of chunks in their recording; `test_export.py` has those of foreign documents."""

from stt.store.database import Database
from stt.store.spans import read_spans
from tests.support.queue_builder import START, add_chunks, add_recording


def test_a_chunk_has_its_place_its_state_and_its_channel(database: Database) -> None:
    recording_id = add_recording(database)
    done, pending = add_chunks(database, 2, recording_id=recording_id, channel=2)
    database.chunks.update_one({"_id": done}, {"$set": {"transcribed_at": START}})
    first, second = read_spans(database, recording_id)
    assert (first.id, first.index, first.offset, first.end, first.state) == (
        done, 0, 0.0, 30.0, "transcribed",
    )  # fmt: skip
    assert (second.id, second.offset, second.state, second.done_at) == (
        pending, 30.0, "pending", None,
    )  # fmt: skip
    assert first.channel == 2


def test_what_is_no_channel_counts_as_none(database: Database) -> None:
    recording_id = add_recording(database)
    add_chunks(database, 1, recording_id=recording_id, channel="left")
    [span] = read_spans(database, recording_id)
    assert span.channel is None
