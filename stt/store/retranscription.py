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
from stt.store.states import (
    TRANSCRIBED,
    WITH_AUDIO,
    WITH_TEXT,
    WITHOUT_EDITS,
    WITHOUT_SPEAKERS,
    Query,
)

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
    """Set these OPTIONS, and make all chunks pending, or those that match; return how many.

    `made` is a query about transcripts. Raise NotFound; AudioRemoved if no chunk has audio;
    HasEdits, without `drop_edits`, if people have edited the text; ChannelsSplit. A chunk that is
    edited in the same moment is left as it is.
    """
    recordings = MongoRecordings(database)
    recordings.check(recording_id, options)
    chunk_ids: list[ObjectId] = []
    if made is not None:
        query = {**made, "original_id": recording_id}
        with translated(), database.chunks.find(query, ["_id"]) as cursor:
            chunk_ids = [document["_id"] for document in cursor]
        if not chunk_ids:
            recordings.change(recording_id, options)
            return 0
    check_audio(database, recording_id)
    if not drop_edits:
        check_edits(database, {**(made or {}), "original_id": recording_id})
    # Before the reset: a worker may claim a chunk the moment that it is pending.
    recordings.change(recording_id, options)
    only = WITH_AUDIO if drop_edits else {**WITH_AUDIO, **WITHOUT_EDITS}
    return claims.reset(database, chunk_ids, recording_id, only)


def change_speakers(
    database: Database,
    recording_id: ObjectId,
    options: Mapping[str, object],
    made: Query | None = None,
    *,
    drop_edits: bool = False,
) -> int:
    """Set SPEAKER_OPTIONS, and transcribe again what has no speakers if they are to be found.

    Return how many chunks are transcribed again. `made` and what is raised: as `transcribe_again`;
    AudioRemoved only if no speakers are known.
    """
    if options["speakers"] is None:
        MongoRecordings(database).change(recording_id, options)
        return 0
    if not _has_speakers(database, recording_id):
        check_audio(database, recording_id)
    without = {**(made or {}), **WITHOUT_SPEAKERS}
    return transcribe_again(database, recording_id, options, without, drop_edits=drop_edits)


def renew(
    database: Database,
    recording: Recording,
    options: Mapping[str, object],
    models: frozenset[str] = frozenset(),
) -> int:
    """Transcribe again what was not made with these options; return how many chunks.

    `options`: those of OPTIONS that a person gave; `models`: the names that the wanted model may
    have in transcripts, empty for any. A model that the recording was asked for counts as the one
    that made it, however its server calls it. Raise as `transcribe_again`.
    """
    changed = {name: value for name, value in options.items() if value != getattr(recording, name)}
    if changed.keys() - {"model", *SPEAKER_OPTIONS}:
        return transcribe_again(database, recording.id, changed)
    outdated: list[Query] = []
    if models and (recording.model not in models or "model" in changed):
        outdated.append({"transcript.model": {"$nin": sorted(models)}})
    if options.get("speakers") is not None:
        is_any_known = _has_speakers(database, recording.id)
        if is_any_known or recording.speakers is None:  # else its servers left all of them out
            if not is_any_known:
                check_audio(database, recording.id)
            outdated.append(WITHOUT_SPEAKERS)
    if not outdated:  # what is still to be transcribed is to be made with the options too
        MongoRecordings(database).change(recording.id, changed)
        return 0
    return transcribe_again(database, recording.id, changed, {**TRANSCRIBED, "$or": outdated})


def _has_speakers(database: Database, recording_id: ObjectId) -> bool:
    """Return whether a server has looked for speakers in any of the text."""
    query = {**WITH_TEXT, "original_id": recording_id, "transcript.speakers": {"$ne": None}}
    with translated():
        return database.chunks.find_one(query, ["_id"]) is not None


def count_without_speakers(database: Database, recording: Recording) -> int:
    """Return how many chunks have text and audio but no speakers, though they are asked for."""
    if recording.speakers is None:
        return 0
    with translated():
        return database.chunks.count_documents({**WITHOUT_SPEAKERS, "original_id": recording.id})


def recordings_with(database: Database, made: Query) -> list[ObjectId]:
    """Return the recordings that have text which matches a query, oldest first."""
    with translated():
        found = database.chunks.distinct("original_id", made)
    return sorted(id_ for id_ in found if isinstance(id_, ObjectId))
