"""Chunks for people, a page at a time: the queue, and the quarantine. Read only.

Every function raises DatabaseUnavailable.
"""

from collections.abc import Collection, Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.cursor import Cursor

from stt.coordinator.schemas.queue import ChunkRow, QuarantinedChunk
from stt.domain.failures import failure_text
from stt.errors import NotFound
from stt.store import documents
from stt.store.database import Database, Document, translated
from stt.store.recording_names import recording_names
from stt.store.states import ANY_TIME, DISMISSED, IN_QUARANTINE, QUERIES, State, state_of

_FIELDS = [
    "original_id", "index", "offset", "duration", "format", "processing_by", "claimed_at",
    "attempts", "expirations", "priority", "not_before", "transcribed_at", "failed_at",
    "transcript.segments.text", "errors", "dismissed_at",
]  # fmt: skip
_MAX_TEXT = 200


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
    found = database.chunks.find(query, _FIELDS).sort("_id", 1).limit(limit)
    return [ChunkRow.model_validate(chunk) for chunk in _described(database, found)]


def read_quarantine(
    database: Database,
    limit: int,
    after: tuple[datetime, ObjectId] | None = None,
    recording_id: ObjectId | None = None,
    *,
    dismissed: bool = False,
) -> list[QuarantinedChunk]:
    """Return up to `limit` chunks of all recordings or of one, latest failure first.

    They follow the one whose `failed_at` and id are `after`. `dismissed`: those that were dismissed
    in place of the others.
    """
    query = _failed(recording_id, dismissed=dismissed)
    if after is not None:
        failed_at, id_ = after
        query["failed_at"] = {**ANY_TIME, "$lte": failed_at}
        query["$or"] = [{"failed_at": {"$lt": failed_at}}, {"_id": {"$lt": id_}}]
    order = [("failed_at", -1), ("_id", -1)]
    found = database.chunks.find(query, _FIELDS).sort(order).limit(limit)
    rows = list(_described(database, found))
    models = _models(database, {row["recording_id"] for row in rows})
    return [
        QuarantinedChunk.model_validate({**row, "model": models.get(row["recording_id"])})
        for row in rows
    ]


def count_quarantine(
    database: Database, recording_id: ObjectId | None = None, *, dismissed: bool = False
) -> int:
    with translated():
        return database.chunks.count_documents(_failed(recording_id, dismissed=dismissed))


def _failed(recording_id: ObjectId | None, *, dismissed: bool) -> Document:
    query = {**(DISMISSED if dismissed else IN_QUARANTINE), "failed_at": ANY_TIME}
    return query if recording_id is None else {**query, "original_id": recording_id}


def _models(database: Database, recording_ids: Collection[Any]) -> dict[Any, str | None]:
    """Return the models that recordings ask for."""
    with translated():
        found = database.recordings.find({"_id": {"$in": list(recording_ids)}}, ["model"])
        return {document["_id"]: documents.read_text(document.get("model")) for document in found}


def format_of(database: Database, chunk_id: ObjectId) -> str | None:
    """Return the format of a chunk's audio, None if its document has none. Raises NotFound."""
    with translated():
        document = database.chunks.find_one({"_id": chunk_id}, ["format"])
    if document is None:
        raise NotFound(f"There is no chunk {chunk_id}.")
    return documents.read_text(document.get("format"))


def _described(database: Database, found: Cursor[Document]) -> Iterator[dict[str, Any]]:
    """Yield the fields of the schemas for each chunk."""
    with translated():
        rows = list(found)
    chunks = [documents.read_chunk(row) for row in rows]
    names = recording_names(database, (chunk.recording_id for chunk in chunks))
    for chunk, document in zip(chunks, rows, strict=True):
        worker, errors = document.get("processing_by"), documents.read_errors(document)
        yield {
            **asdict(chunk),
            **asdict(names[chunk.recording_id]),
            "state": state_of(document),
            "worker": None if worker is None else str(worker),
            "claimed_at": documents.read_time(document.get("claimed_at")),
            "priority": documents.read_count(document.get("priority")),
            "transcribed_at": documents.read_time(document.get("transcribed_at")),
            "failed_at": documents.read_time(document.get("failed_at")),
            "dismissed_at": documents.read_time(document.get("dismissed_at")),
            **asdict(failure_text(errors[-1].kind if errors else None)),
            "errors": errors,
            "error": errors[-1] if errors else None,
            "text": _text(document),
        }


def _text(document: Document) -> str | None:
    if document.get("transcribed_at") is None and document.get("transcript") is None:
        return None
    segments = documents.read_mappings(
        documents.read_mapping(document.get("transcript")).get("segments")
    )
    texts = (str(segment.get("text") or "") for segment in segments)
    return " ".join(texts)[:_MAX_TEXT]
