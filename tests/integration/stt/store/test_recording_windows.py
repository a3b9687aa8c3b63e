"""Windows over the chunks of a real database."""

from stt.store.database import Database
from stt.store.recording_windows import recording_windows
from tests.support.queue_builder import add_chunks
from tests.support.recordings_in_queue import post_recording


def test_each_chunk_is_in_one_window_also_without_a_document_of_its_recording(
    database: Database,
) -> None:
    for _ in range(5):
        post_recording(database, 2)
    add_chunks(database, 1)
    database.recordings.delete_many({"language": "en"})
    found = [
        chunk["_id"]
        for window in recording_windows(database)
        for chunk in database.chunks.find(window, ["_id"])
    ]
    assert sorted(found) == sorted(chunk["_id"] for chunk in database.chunks.find({}, ["_id"]))
    assert len(found) == 11
