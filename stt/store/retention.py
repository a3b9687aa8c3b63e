"""Remove the audio of recordings that were finished long ago; their text stays.

What makes it safe beside workers, to interrupt, and to run twice at once:

- A chunk is marked by one conditional update: `audio_removed_at`, if it was transcribed before the
  bound. A chunk that was reset meanwhile does not match, and one that is marked cannot be reset.
- Audio is removed after its mark, so no chunk that may be claimed is without its audio.
- The recording is marked last. Until then the next run does all of this again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bson import ObjectId

from stt.domain.chunk import Recording
from stt.errors import AudioRemoved
from stt.store.chunk_audio import ChunkAudio
from stt.store.database import Database, Document, translated
from stt.store.documents import read_recording, read_text

_FIELDS = ["filename", "path", "folder", "ingested_at"]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class AudioRemoval:
    """A recording whose audio was removed, and of how many chunks."""

    recording: Recording
    chunks: int


def remove_audio(
    database: Database, keep_seconds: float, *, dry_run: bool = False
) -> Iterator[AudioRemoval]:
    """Remove the audio of recordings whose last chunk was transcribed so long ago; yield each.

    Leave out those with a chunk in another state, or still to be cut, and objects in S3 that other
    programs stored. Raise DatabaseUnavailable, AudioStoreUnavailable, AudioStoreRefused.
    """
    oldest = database.server_time() - timedelta(seconds=keep_seconds)
    folders = tuple(f"{folder}/" for folder in ChunkAudio(database).folders())
    with translated():
        documents = list(database.recordings.find({"audio_removed_at": None}, _FIELDS))
    for document in documents:
        recording = read_recording(document)
        with translated():
            if recording.is_ingesting or not _is_finished(database, recording.id, oldest):
                continue
            ids = _with_own_audio(database, recording.id, folders)
            if not dry_run:
                _remove(database, recording.id, ids, oldest)
        if ids:
            yield AudioRemoval(recording, len(ids))


def check_audio(database: Database, recording_id: ObjectId) -> None:
    """Raise AudioRemoved if no chunk of a recording can be transcribed again."""
    with translated():
        of_recording = {"original_id": recording_id}
        removed = database.chunks.find_one({**of_recording, "audio_removed_at": {"$ne": None}})
        if removed is None or database.chunks.find_one({**of_recording, "audio_removed_at": None}):
            return
    raise AudioRemoved(
        f"The audio of recording {recording_id} was removed on"
        f" {removed['audio_removed_at']:%Y-%m-%d} (STT_KEEP_AUDIO), and its text is kept. To"
        " transcribe it again, remove the recording and ingest its file."
    )


def _is_finished(database: Database, recording_id: ObjectId, oldest: datetime) -> bool:
    """Return whether each chunk was transcribed before that, and there is one."""
    of_recording = {"original_id": recording_id}
    others = {**of_recording, "transcribed_at": {"$not": {"$gte": _EPOCH, "$lte": oldest}}}
    return (
        database.chunks.find_one(others, ["_id"]) is None
        and database.chunks.find_one(of_recording, ["_id"]) is not None
    )


def _with_own_audio(
    database: Database, recording_id: ObjectId, folders: tuple[str, ...]
) -> list[ObjectId]:
    """Return the chunks whose audio is in the database, or in these folders of S3."""
    found = database.chunks.find({"original_id": recording_id}, ["audio_url"])
    urls = ((chunk["_id"], read_text(chunk.get("audio_url"))) for chunk in found)
    return [id_ for id_, url in urls if not url or url.startswith(folders)]


def _remove(
    database: Database, recording_id: ObjectId, ids: list[ObjectId], oldest: datetime
) -> None:
    audio, now = ChunkAudio(database), {"$currentDate": {"audio_removed_at": True}}
    finished = {"transcribed_at": {"$gte": _EPOCH, "$lte": oldest}, "audio_removed_at": None}
    chosen: Document = {"original_id": recording_id, "_id": {"$in": ids}}
    database.chunks.update_many({**chosen, **finished}, now)
    marked = {**chosen, "audio_removed_at": {"$ne": None}}
    gone = [chunk["_id"] for chunk in database.chunks.find(marked, ["_id"])]
    audio.remove(gone)
    names = {f"{id_}.opus" for id_ in gone}
    objects = audio.objects_of(recording_id)
    database.objects.delete([url for url in objects if url.key.rpartition("/")[2] in names])
    database.chunks.update_many(marked, {"$unset": {"data": 1, "audio_url": 1}})
    if len(gone) == len(ids):  # else one was reset meanwhile
        database.recordings.update_one({"_id": recording_id}, now)
