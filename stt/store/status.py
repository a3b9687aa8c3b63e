"""Read-only numbers about the queue: how much there is, how fast it goes, what is stuck.

Built from `find`, `count_documents` and plain `$match` and `$group`, which every MongoDB-compatible
server runs. The numbers are read one after the other from a living queue: a chunk that changes its
state meanwhile may be counted twice or not at all.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo.cursor import Cursor

from stt.domain.chunk import Chunk, Recording
from stt.store.database import Database, Document, translated

RATE_WINDOW_SECONDS = 600.0
_MIN_WINDOW_SECONDS = 15.0
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_FAILURES_SHOWN = 20
_FAILURE_FIELDS = ["original_id", "index", "attempts", "failed_at", "not_before", "errors"]

# The states of docs/design.md; a document that lacks a field matches None too.
_STATES: Mapping[str, Document] = {
    "pending": {"transcribed_at": None, "failed_at": None, "processing_by": None},
    "processing": {"transcribed_at": None, "failed_at": None, "processing_by": {"$ne": None}},
    "transcribed": {"transcribed_at": {"$ne": None}},
    "failed": {"transcribed_at": None, "failed_at": {"$ne": None}},
}


@dataclass(frozen=True, slots=True)
class StateCounts:
    """Chunks by state."""

    pending: int = 0
    processing: int = 0
    transcribed: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        return self.pending + self.processing + self.transcribed + self.failed

    @property
    def open(self) -> int:
        """Chunks that will still be worked on."""
        return self.pending + self.processing


@dataclass(frozen=True, slots=True)
class Rate:
    """Speed of the whole fleet over the last `window_seconds`.

    `audio_seconds_per_second` leaves out chunks whose documents do not say their duration.
    """

    window_seconds: float
    chunks: int
    chunks_per_minute: float
    audio_seconds_per_second: float


@dataclass(frozen=True, slots=True)
class RecordingProgress:
    """How far one recording is; `is_ingesting` while more chunks of it are being cut."""

    id: ObjectId | None
    filename: str
    duration_seconds: float | None
    is_ingesting: bool
    counts: StateCounts


@dataclass(frozen=True, slots=True)
class FailedChunk:
    """A chunk in quarantine, or at rest until `again_at`, with the last of its errors.

    `server` is the one that had a part in it.
    """

    id: ObjectId
    source_id: ObjectId | None
    filename: str
    index: int
    attempts: int
    failed_at: datetime | None
    kind: str
    message: str
    worker: str
    server: str | None = None
    again_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """The queue at `at`, the database server's time.

    `empty` of the transcribed chunks said nothing; `resting` of the pending ones wait after a
    failure; `stale` of the claims have outlived their lease. `eta_seconds` is None while nothing
    moves. `failed_chunks` are the latest few, `resting_chunks` the next few to be tried again.
    """

    at: datetime
    counts: StateCounts
    empty: int
    resting: int
    stale: int
    rate: Rate
    eta_seconds: float | None
    sources: tuple[RecordingProgress, ...] = field(default=())
    failed_chunks: tuple[FailedChunk, ...] = field(default=())
    resting_chunks: tuple[FailedChunk, ...] = field(default=())


def queue_status(database: Database, lease_seconds: float) -> QueueStatus:
    """Looks at the whole queue; takes time in proportion to it. Raises DatabaseUnavailable."""
    now = database.server_time()
    with translated():
        by_recording = _counts_by_recording(database)
        counts = StateCounts(
            **{state: sum(getattr(c, state) for c in by_recording.values()) for state in _STATES}
        )
        rate = recent_rate(database, now)
        sources = tuple(_progress(database, by_recording))
        names = {source.id: source.filename for source in sources}
        at_rest: Document = {"not_before": {"$gt": now}}
        resting = _count(database, "pending", at_rest)
        return QueueStatus(
            at=now,
            counts=counts,
            empty=_count(database, "transcribed", {"transcript.segments.0": {"$exists": False}}),
            resting=resting,
            stale=_stale(database, now - timedelta(seconds=lease_seconds)),
            rate=rate,
            eta_seconds=eta_seconds(counts, rate),
            sources=sources,
            failed_chunks=_with_errors(
                database.chunks.find(_STATES["failed"], _FAILURE_FIELDS).sort("failed_at", -1),
                names,
            ),
            resting_chunks=_with_errors(
                database.chunks.find({**_STATES["pending"], **at_rest}, _FAILURE_FIELDS).sort(
                    "not_before", 1
                ),
                names,
            )
            if resting
            else (),
        )


def _count(database: Database, state: str, also: Document) -> int:
    return database.chunks.count_documents({**_STATES[state], **also})


def _stale(database: Database, oldest: datetime) -> int:
    too_old = [{"claimed_at": {"$lt": oldest}}, {"claimed_at": None}]
    return _count(database, "processing", {"$or": too_old})


def _counts_by_recording(database: Database) -> dict[Any, StateCounts]:
    found: dict[Any, Counter[str]] = {}
    for state, query in _STATES.items():
        group = {"_id": "$original_id", "chunks": {"$sum": 1}}
        for row in database.chunks.aggregate([{"$match": query}, {"$group": group}]):
            source_id = row["_id"] if isinstance(row["_id"], Hashable) else None
            found.setdefault(source_id, Counter())[state] += int(row["chunks"])
    return {source_id: StateCounts(**counts) for source_id, counts in found.items()}


def _progress(
    database: Database, by_recording: Mapping[Any, StateCounts]
) -> Iterator[RecordingProgress]:
    """The described sources, oldest first, then those that only their chunks know of."""
    fields = ["filename", "duration", "ingested_at"]
    unseen = dict(by_recording)
    for document in database.recordings.find({}, fields).sort("_id", 1):
        source = Recording.from_document(document)
        yield RecordingProgress(
            id=source.id,
            filename=source.filename,
            duration_seconds=source.duration,
            is_ingesting=document.get("ingested_at", "absent") is None,
            counts=unseen.pop(source.id, StateCounts()),
        )
    for source_id, counts in unseen.items():
        yield RecordingProgress(source_id, str(source_id or "(no source)"), None, False, counts)


def recent_rate(database: Database, now: datetime) -> Rate:
    """Counted from the first result in the window, so that a young fleet is not averaged away.

    Raises DatabaseUnavailable.
    """
    since = now - timedelta(seconds=RATE_WINDOW_SECONDS)
    group = {
        "_id": None,
        "chunks": {"$sum": 1},
        "audio": {"$sum": "$duration"},
        "first": {"$min": "$transcribed_at"},
    }
    match = {"transcribed_at": {"$gte": since}}
    with translated():
        row = next(iter(database.chunks.aggregate([{"$match": match}, {"$group": group}])), None)
    if row is None:
        return Rate(RATE_WINDOW_SECONDS, 0, 0.0, 0.0)
    seconds = max((now - row["first"]).total_seconds(), _MIN_WINDOW_SECONDS)
    chunks = int(row["chunks"])
    return Rate(seconds, chunks, chunks * 60 / seconds, float(row["audio"]) / seconds)


def eta_seconds(counts: StateCounts, rate: Rate) -> float | None:
    """None while nothing moves."""
    if counts.open == 0:
        return 0.0
    return counts.open * 60 / rate.chunks_per_minute if rate.chunks_per_minute else None


@dataclass(frozen=True, slots=True)
class RecordedError:
    """One of a chunk's errors; `server` is the one that had a part in it."""

    at: datetime | None
    kind: str
    message: str
    worker: str
    server: str | None


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A chunk in quarantine, with all errors that its document still has, oldest first."""

    chunk: Chunk
    filename: str
    failed_at: datetime | None
    errors: tuple[RecordedError, ...]


def quarantine(
    database: Database, limit: int, after: tuple[datetime, ObjectId] | None = None
) -> list[Quarantined]:
    """Up to `limit` chunks, those that failed last first; `after` one by its time and id.

    Raises DatabaseUnavailable.
    """
    query: Document = {"transcribed_at": None, "failed_at": {"$gte": _EVER}}
    if after is not None:
        failed_at, id_ = after
        query["failed_at"]["$lte"] = failed_at
        query["$or"] = [{"failed_at": {"$lt": failed_at}}, {"_id": {"$lt": id_}}]
    fields = [*_FAILURE_FIELDS, "offset", "duration", "format", "expirations"]
    order = [("failed_at", -1), ("_id", -1)]
    with translated():
        found = list(database.chunks.find(query, fields).sort(order).limit(limit))
        names = _names(database, found)
    return [_quarantined(document, names) for document in found]


def count_quarantine(database: Database) -> int:
    """Raises DatabaseUnavailable."""
    with translated():
        return database.chunks.count_documents(
            {"transcribed_at": None, "failed_at": {"$gte": _EVER}}
        )


def _names(database: Database, chunks: Iterable[Document]) -> dict[Any, str]:
    ids = {id_ for document in chunks if isinstance(id_ := document.get("original_id"), ObjectId)}
    found = database.recordings.find({"_id": {"$in": list(ids)}}, ["filename"])
    return {document["_id"]: Recording.from_document(document).filename for document in found}


def _quarantined(document: Document, names: Mapping[Any, str]) -> Quarantined:
    chunk = Chunk.from_document(document)
    failed_at, errors = document.get("failed_at"), document.get("errors")
    listed = errors if isinstance(errors, list) else []
    return Quarantined(
        chunk=chunk,
        filename=names.get(chunk.recording_id, str(chunk.recording_id or "")),
        failed_at=failed_at if isinstance(failed_at, datetime) else None,
        errors=tuple(_recorded_error(error) for error in listed if isinstance(error, Mapping)),
    )


def _recorded_error(error: Mapping[str, Any]) -> RecordedError:
    at = error.get("at")
    return RecordedError(
        at=at if isinstance(at, datetime) else None,
        kind=str(error.get("kind") or "unknown"),
        message=str(error.get("message") or ""),
        worker=str(error.get("worker") or ""),
        server=str(error["server"]) if error.get("server") else None,
    )


def _with_errors(found: Cursor[Document], names: Mapping[Any, str]) -> tuple[FailedChunk, ...]:
    return tuple(_failed_chunk(document, names) for document in found.limit(_FAILURES_SHOWN))


def _failed_chunk(document: Document, names: Mapping[Any, str]) -> FailedChunk:
    last = _recorded_error(_last_error(document))
    chunk = Chunk.from_document(document)
    failed_at = document.get("failed_at")
    return FailedChunk(
        id=chunk.id,
        source_id=chunk.recording_id,
        filename=names.get(chunk.recording_id, str(chunk.recording_id or "")),
        index=chunk.index,
        attempts=chunk.attempts,
        failed_at=failed_at if isinstance(failed_at, datetime) else None,
        kind=last.kind,
        message=last.message,
        worker=last.worker,
        server=last.server,
        again_at=chunk.not_before,
    )


def _last_error(document: Document) -> Mapping[str, Any]:
    errors = document.get("errors")
    last = errors[-1] if isinstance(errors, list) and errors else None
    return last if isinstance(last, Mapping) else {}
