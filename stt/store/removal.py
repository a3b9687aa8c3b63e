"""Remove a recording with all that belongs to it."""

from bson import ObjectId

from stt.domain.chunk import chunk_id
from stt.store.chunk_audio import ChunkAudio
from stt.store.database import Database, translated
from stt.store.documents import read_count

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
    last = _remove_chunks(database, recording_id)
    with translated():
        document = database.recordings.find_one({"_id": recording_id}, ["chunk_count"]) or {}
    known = max(last + 1, min_chunks, read_count(document.get("chunk_count")))
    indexes = range(known + _AUDIO_WITHOUT_CHUNKS)
    audio.remove([chunk_id(recording_id, index) for index in indexes])
    database.objects.delete(audio.objects_of(recording_id))
    with translated():
        database.recordings.delete_one({"_id": recording_id})
    _remove_chunks(database, recording_id)


def _remove_chunks(database: Database, recording_id: ObjectId) -> int:
    """Remove chunks and their audio; return the highest index among them, -1 without any."""
    last = -1
    while True:
        with translated():
            found = database.chunks.find({"original_id": recording_id}, ["index"])
            chunks = list(found.limit(_REMOVE_BATCH))
            ids = [chunk["_id"] for chunk in chunks]
            if not ids:
                return last
            database.chunks.delete_many({"_id": {"$in": ids}, "original_id": recording_id})
        ChunkAudio(database).remove(ids)
        last = max(last, *(read_count(chunk.get("index")) for chunk in chunks))
