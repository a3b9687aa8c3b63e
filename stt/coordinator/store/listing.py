"""The queue chunk by chunk, for people: read only, a page at a time."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from bson import ObjectId

from stt.coordinator.schemas.queue import ChunkRow
from stt.domain.chunk import RecordedError
from stt.errors import NotFound
from stt.store.database import Database, Document, translated
from stt.store.documents import read_chunk, read_count, read_recording

_FIELDS = [
    "original_id", "index", "offset", "duration", "format", "processing_by", "claimed_at",
    "attempts", "expirations", "priority", "not_before", "transcribed_at", "failed_at",
    "transcript.segments.text", "errors",
]  # fmt: skip
_MAX_TEXT = 200

# A document that lacks a field matches None too.
_STATES: Mapping[str, Document] = {
    "pending": {"transcribed_at": None, "failed_at": None, "processing_by": None},
    "processing": {"transcribed_at": None, "failed_at": None, "processing_by": {"$ne": None}},
    "transcribed": {"transcribed_at": {"$ne": None}},
    "failed": {"transcribed_at": None, "failed_at": {"$ne": None}},
}


def has_pending(database: Database) -> bool:
    """Return whether any chunk is pending, even one that waits after a failure.

    Raises DatabaseUnavailable.
    """
    with translated():
        return database.chunks.find_one(_STATES["pending"], ["_id"]) is not None


def list_chunks(
    database: Database,
    *,
    state: str | None,
    recording_id: ObjectId | None,
    after: ObjectId | None,
    limit: int,
) -> list[ChunkRow]:
    """Return up to `limit` chunks in the order of their ids, beginning behind `after`.

    Raises DatabaseUnavailable.
    """
    query: Document = dict(_STATES[state]) if state else {}
    if recording_id is not None:
        query["original_id"] = recording_id
    if after is not None:
        query["_id"] = {"$gt": after}
    with translated():
        found = list(database.chunks.find(query, _FIELDS).sort("_id", 1).limit(limit))
        ids = {id_ for chunk in found if isinstance(id_ := chunk.get("original_id"), ObjectId)}
        recordings = database.recordings.find({"_id": {"$in": list(ids)}}, ["filename"])
        names = {one["_id"]: read_recording(one).filename for one in recordings}
    return [_listed(document, names) for document in found]


def format_of(database: Database, chunk_id: ObjectId) -> str | None:
    """Return the format of a chunk's audio, None if its document has none. Raises NotFound."""
    with translated():
        document = database.chunks.find_one({"_id": chunk_id}, ["format", "original_id", "index"])
    if document is None:
        raise NotFound(f"There is no chunk {chunk_id}.")
    return read_chunk(document).format


def state_of(document: Document) -> str:
    """Return the state that a chunk's fields mean."""
    if document.get("transcribed_at") is not None:
        return "transcribed"
    if document.get("failed_at") is not None:
        return "failed"
    return "pending" if document.get("processing_by") is None else "processing"


def _listed(document: Document, names: Mapping[Any, str]) -> ChunkRow:
    chunk = read_chunk(document)
    worker = document.get("processing_by")
    computed = {
        "filename": names.get(chunk.recording_id, str(chunk.recording_id or "")),
        "state": state_of(document),
        "worker": None if worker is None else str(worker),
        "claimed_at": _time(document.get("claimed_at")),
        "priority": read_count(document.get("priority")),
        "transcribed_at": _time(document.get("transcribed_at")),
        "failed_at": _time(document.get("failed_at")),
        "error": _last_error(document.get("errors")),
        "text": _text(document),
    }
    return ChunkRow.model_validate(asdict(chunk) | computed)


def _last_error(errors: Any) -> RecordedError | None:
    last = errors[-1] if isinstance(errors, list) and errors else None
    if not isinstance(last, Mapping):
        return None
    return RecordedError(
        kind=str(last.get("kind") or "unknown"),
        message=str(last.get("message") or ""),
        worker=str(last.get("worker") or ""),
        server=str(last["server"]) if last.get("server") else None,
        at=_time(last.get("at")),
    )


def _text(document: Document) -> str | None:
    if document.get("transcribed_at") is None:
        return None
    transcript = document.get("transcript")
    segments = transcript.get("segments") if isinstance(transcript, Mapping) else None
    listed = segments if isinstance(segments, list) else []
    texts = (str(s.get("text") or "") for s in listed if isinstance(s, Mapping))
    return " ".join(texts)[:_MAX_TEXT]


def _time(value: Any) -> datetime | None:
    return value if isinstance(value, datetime) else None
