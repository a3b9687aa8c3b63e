"""The queue chunk by chunk, for people: read only, a page at a time.

Every function raises DatabaseUnavailable.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bson import ObjectId

from stt.coordinator.schemas.queue import ChunkRow
from stt.errors import NotFound
from stt.store.database import Database, Document, translated
from stt.store.documents import (
    read_chunk,
    read_count,
    read_errors,
    read_mappings,
    read_text,
    read_time,
)
from stt.store.recordings import recording_names
from stt.store.states import PENDING, QUERIES, State, state_of

_FIELDS = [
    "original_id", "index", "offset", "duration", "format", "processing_by", "claimed_at",
    "attempts", "expirations", "priority", "not_before", "transcribed_at", "failed_at",
    "transcript.segments.text", "errors",
]  # fmt: skip
_MAX_TEXT = 200


def has_pending(database: Database) -> bool:
    """Return whether any chunk is pending, even one that waits after a failure."""
    with translated():
        return database.chunks.find_one(PENDING, ["_id"]) is not None


def list_chunks(
    database: Database,
    *,
    state: State | None,
    recording_id: ObjectId | None,
    after: ObjectId | None,
    limit: int,
) -> list[ChunkRow]:
    """Return up to `limit` chunks in the order of their ids, beginning behind `after`."""
    query: Document = dict(QUERIES[state]) if state else {}
    if recording_id is not None:
        query["original_id"] = recording_id
    if after is not None:
        query["_id"] = {"$gt": after}
    with translated():
        found = list(database.chunks.find(query, _FIELDS).sort("_id", 1).limit(limit))
    names = recording_names(database, (document.get("original_id") for document in found))
    return [_row(document, names) for document in found]


def format_of(database: Database, chunk_id: ObjectId) -> str | None:
    """Return the format of a chunk's audio, None if its document has none. Raises NotFound."""
    with translated():
        document = database.chunks.find_one({"_id": chunk_id}, ["format"])
    if document is None:
        raise NotFound(f"There is no chunk {chunk_id}.")
    return read_text(document.get("format"))


def _row(document: Document, names: Mapping[Any, str]) -> ChunkRow:
    chunk = read_chunk(document)
    worker, errors = document.get("processing_by"), read_errors(document)
    computed = {
        "filename": names.get(chunk.recording_id, str(chunk.recording_id or "")),
        "state": state_of(document),
        "worker": None if worker is None else str(worker),
        "claimed_at": read_time(document.get("claimed_at")),
        "priority": read_count(document.get("priority")),
        "transcribed_at": read_time(document.get("transcribed_at")),
        "failed_at": read_time(document.get("failed_at")),
        "error": errors[-1] if errors else None,
        "text": _text(document),
    }
    return ChunkRow.model_validate(asdict(chunk) | computed)


def _text(document: Document) -> str | None:
    if document.get("transcribed_at") is None:
        return None
    transcript = document.get("transcript")
    segments = transcript.get("segments") if isinstance(transcript, Mapping) else None
    texts = (str(segment.get("text") or "") for segment in read_mappings(segments))
    return " ".join(texts)[:_MAX_TEXT]
