"""Transcribe recordings again: what made the stored text, and what is to be made anew.

Only `claims.reset` changes chunks; the earlier text stays until the new one replaces it.
"""

from collections.abc import Mapping

from bson import ObjectId

from stt.domain.chunk import Recording
from stt.store import claims
from stt.store.database import Database, translated
from stt.store.documents import read_text
from stt.store.edits import check_edits
from stt.store.ingest_options import SPEAKER_OPTIONS
from stt.store.recordings import MongoRecordings
from stt.store.retention import check_audio
from stt.store.states import TRANSCRIBED, WITH_AUDIO, WITHOUT_EDITS, Query

OPTIONS = ("model", "language", "task", "prompt", "hotwords", *SPEAKER_OPTIONS)
"""The options of a recording that can be changed without cutting it again."""


def models_of(database: Database, recording_id: ObjectId) -> tuple[str, ...]:
    """Return the models that made a recording's text, as their servers call them, by name."""
    with translated():
        found = database.chunks.distinct("transcript.model", {"original_id": recording_id})
    return tuple(sorted(name for name in map(read_text, found) if name))


def transcribe_again(
    database: Database,
    recording_id: ObjectId,
    options: Mapping[str, object],
    made: Query | None = None,
    *,
    drop_edits: bool = False,
) -> int:
    """Set these OPTIONS and make all chunks pending, or those that match; return how many.

    `made` is a query about transcripts. Raise NotFound; AudioRemoved if no chunk has audio;
    HasEdits, without `drop_edits`, if people have edited the text; ChannelsSplit. A chunk that is
    edited in the same moment is left as it is.
    """
    recordings = MongoRecordings(database)
    recordings.get(recording_id)
    chunk_ids: list[ObjectId] = []
    if made is not None:
        query = {**made, "original_id": recording_id}
        with translated(), database.chunks.find(query, ["_id"]) as cursor:
            chunk_ids = [document["_id"] for document in cursor]
        if not chunk_ids:
            return 0
    check_audio(database, recording_id)
    if not drop_edits:
        check_edits(database, {**(made or {}), "original_id": recording_id})
    # Before the reset: a worker may claim a chunk the moment that it is pending.
    recordings.change(recording_id, options)
    only = WITH_AUDIO if drop_edits else {**WITH_AUDIO, **WITHOUT_EDITS}
    return claims.reset(database, chunk_ids, recording_id, only)


def renew(
    database: Database,
    recording: Recording,
    options: Mapping[str, object],
    models: frozenset[str] = frozenset(),
) -> int:
    """Transcribe again what was not made with these options; return how many chunks.

    `options`: those of OPTIONS that a person gave; `models`: the names that the wanted model may
    have in transcripts, empty for any. A model that the recording was asked for counts as the one
    that made it, however its server calls it.
    """
    changed = {name: value for name, value in options.items() if value != getattr(recording, name)}
    is_new_text = changed.get("speakers") is not None and not _has_voices(database, recording.id)
    if not is_new_text:  # their voices are known, or not asked for any more
        speakers = {name: changed.pop(name) for name in SPEAKER_OPTIONS if name in changed}
        MongoRecordings(database).change(recording.id, speakers)
    if changed.keys() - {"model"}:
        return transcribe_again(database, recording.id, changed)
    if not models or (recording.model in models and "model" not in changed):
        return 0
    other = {**TRANSCRIBED, "transcript.model": {"$nin": sorted(models)}}
    count = transcribe_again(database, recording.id, changed, other)
    if changed and not count:  # what is still to be transcribed is to be made with it too
        MongoRecordings(database).change(recording.id, changed)
    return count


def _has_voices(database: Database, recording_id: ObjectId) -> bool:
    query = {"original_id": recording_id, "transcript.speakers.0": {"$exists": True}}
    with translated():
        return database.chunks.find_one(query, ["_id"]) is not None


def recordings_with(database: Database, made: Query) -> list[ObjectId]:
    """Return the recordings that have text which matches a query, oldest first."""
    with translated():
        found = database.chunks.distinct("original_id", made)
    return sorted(id_ for id_ in found if isinstance(id_, ObjectId))
