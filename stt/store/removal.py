"""Remove a recording with all that belongs to it."""

from bson import ObjectId

from stt.domain.chunk import chunk_id
from stt.store.chunk_audio import ChunkAudio
from stt.store.database import Database, translated
from stt.store.documents import read_count
from stt.store.states import Query

_REMOVE_BATCH = 200
# A crashed ingest may have stored the audio of chunks that it did not store yet.
_AUDIO_WITHOUT_CHUNKS = 16


def remove_recording(database: Database, recording_id: ObjectId, min_chunks: int = 0) -> None:
    """Remove a recording, if there is one, with its chunks and their audio.

    Remove chunks before their audio, so that no chunk lacks its audio, and the recording last, so
    that an interrupted removal can be repeated. `min_chunks`: so many may have been stored, even
    if they are gone. Raise DatabaseUnavailable; if S3 is away, before anything is removed.
    """
    audio = ChunkAudio(database)
    audio.objects_of(recording_id)
    last = _remove_chunks(database, {"original_id": recording_id})
    with translated():
        document = database.recordings.find_one({"_id": recording_id}, ["chunk_count"]) or {}
    known = max(last + 1, min_chunks, read_count(document.get("chunk_count")))
    indexes = range(known + _AUDIO_WITHOUT_CHUNKS)
    audio.remove([chunk_id(recording_id, index) for index in indexes])
    database.objects.delete(audio.objects_of(recording_id))
    with translated():
        database.speakers.delete_one({"_id": recording_id})
        database.recordings.delete_one({"_id": recording_id})
        # Again, those that were joined meanwhile; who joins them now finds no recording.
        database.speakers.delete_one({"_id": recording_id})
    _remove_chunks(database, {"original_id": recording_id})


def remove_without_text(database: Database, recording_id: ObjectId) -> None:
    """Remove the chunks of a recording that have no transcript; without any other, all of it.

    Who has claimed one of them finds the claim lost. Raise DatabaseUnavailable.
    """
    of_recording = {"original_id": recording_id}
    _remove_chunks(database, {**of_recording, "transcribed_at": None})
    with translated():
        has_text = database.chunks.find_one(of_recording, ["_id"], sort=[("index", 1)]) is not None
    if not has_text:
        remove_recording(database, recording_id)


def _remove_chunks(database: Database, query: Query) -> int:
    """Remove chunks and their audio; return the highest index among them, -1 without any."""
    last = -1
    while True:
        with translated():
            found = database.chunks.find(query, ["index"])
            chunks = list(found.limit(_REMOVE_BATCH))
            ids = [chunk["_id"] for chunk in chunks]
            if not ids:
                return last
            database.chunks.delete_many({**query, "_id": {"$in": ids}})
        ChunkAudio(database).remove(ids)
        last = max(last, *(read_count(chunk.get("index")) for chunk in chunks))
