"""List the chunks in quarantine, latest failure first.

Every function raises DatabaseUnavailable.
"""

from dataclasses import dataclass
from datetime import datetime

from bson import ObjectId

from stt.domain.chunk import Chunk, RecordedError
from stt.store.database import Database, Document, translated
from stt.store.documents import read_chunk, read_errors, read_time
from stt.store.recordings import recording_names
from stt.store.states import ANY_TIME, FAILED

_FIELDS = [
    "original_id", "index", "attempts", "failed_at", "not_before", "errors", "offset", "duration",
    "format", "expirations",
]  # fmt: skip
_QUARANTINED: Document = {**FAILED, "failed_at": ANY_TIME}


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A chunk in quarantine with the errors that its document still has, oldest first."""

    chunk: Chunk
    filename: str
    failed_at: datetime | None
    errors: tuple[RecordedError, ...]


def quarantine(
    database: Database, limit: int, after: tuple[datetime, ObjectId] | None = None
) -> list[Quarantined]:
    """Return up to `limit` chunks that follow the one whose `failed_at` and id are `after`."""
    query = dict(_QUARANTINED)
    if after is not None:
        failed_at, id_ = after
        query["failed_at"] = {**ANY_TIME, "$lte": failed_at}
        query["$or"] = [{"failed_at": {"$lt": failed_at}}, {"_id": {"$lt": id_}}]
    order = [("failed_at", -1), ("_id", -1)]
    with translated():
        documents = list(database.chunks.find(query, _FIELDS).sort(order).limit(limit))
    names = recording_names(database, (document.get("original_id") for document in documents))
    return [
        Quarantined(
            chunk=(chunk := read_chunk(document)),
            filename=names.get(chunk.recording_id, str(chunk.recording_id or "")),
            failed_at=read_time(document.get("failed_at")),
            errors=read_errors(document),
        )
        for document in documents
    ]


def count_quarantine(database: Database) -> int:
    with translated():
        return database.chunks.count_documents(_QUARANTINED)
