"""Count the chunks of the queue by state, measure the speed, and list what failed.

The numbers are read one after the other while workers go on: they may be of different moments.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any

from bson import ObjectId
from pydantic import Field

from stt.domain.chunk import RecordedError
from stt.domain.field_types import Hundredths, Tenths, Whole
from stt.store.counts import RecordingSums, StateCounts, sum_up, sums_of_all
from stt.store.database import Database, Document, translated
from stt.store.documents import read_chunk, read_errors, read_recording, read_time
from stt.store.leases import count_stale
from stt.store.model_routing import WaitingChunks, count_waiting, waiting_chunks
from stt.store.notification_status import DestinationStatus, destination_statuses
from stt.store.recording_names import NAME_FIELDS, RecordingName, labels_of, recording_names
from stt.store.states import QUERIES, State

RATE_WINDOW_SECONDS = 600.0
_MIN_WINDOW_SECONDS = 15.0
_MAX_FAILURES = 20
_NO_RECORDING = "(no source)"
_FAILURE_FIELDS = ["original_id", "index", "attempts", "failed_at", "not_before", "errors"]


@dataclass(frozen=True, slots=True)
class Rate:
    """The speed of the whole fleet over the last `window_seconds`.

    `audio_seconds_per_second` leaves out chunks whose documents have no duration. The annotations
    are for the coordinator's JSON.
    """

    window_seconds: Whole
    chunks: Annotated[int, Field(exclude=True)]
    chunks_per_minute: Tenths
    audio_seconds_per_second: Hundredths


@dataclass(frozen=True, slots=True)
class RecordingProgress:
    """The chunks of one recording by state; `is_ingesting` while more of them are being cut.

    `label`: its file name, with so many of its folders that no other recording has the same.
    `silent_speech_seconds`: speech in those that are transcribed that gave no text.
    """

    id: ObjectId | None
    filename: str
    duration_seconds: float | None
    is_ingesting: bool
    counts: StateCounts
    path: str | None = None
    label: str = ""
    silent_speech_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class FailedChunk:
    """A chunk in quarantine, or one that waits until `again_at`, with its last error.

    `label` is that of its recording. `server` is the one that was called, if any.
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
    path: str | None = None
    label: str = ""


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """The queue at `at`, the database server's time.

    `empty`: transcribed chunks without text. `resting`: pending chunks that wait after a failure.
    `stale`: claims whose lease has run out. `dismissed`: failed chunks that a person has dismissed;
    they are not among `failed_chunks`. `eta_seconds`: None if nothing was transcribed lately.
    `failed_chunks` are the latest few, `resting_chunks` the next few to be tried again.
    `missing_models`: what waits for a model that no worker has. `notifications`: destinations that
    did not take some.
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
    missing_models: tuple[WaitingChunks, ...] = field(default=())
    notifications: tuple[DestinationStatus, ...] = field(default=())
    dismissed: int = 0


def queue_status(database: Database, lease_seconds: float) -> QueueStatus:
    """Read all chunks, in time proportional to their number. Raise DatabaseUnavailable."""
    now = database.server_time()
    with translated():
        by_recording = sums_of_all(database)
        each = [sums.counts for sums in by_recording.values()]
        counts = StateCounts(**{state: sum(getattr(c, state) for c in each) for state in QUERIES})
        rate = recent_rate(database, now)
        recordings = tuple(_progress(database, by_recording))
        at_rest: Document = {"not_before": {"$gt": now}}
        resting = _count(database, "pending", at_rest)
        missing = waiting_chunks(database)
        return QueueStatus(
            at=now,
            counts=counts,
            empty=_count(database, "transcribed", {"transcript.segments.0": {"$exists": False}}),
            resting=resting,
            stale=count_stale(database, lease_seconds, now),
            rate=rate,
            eta_seconds=eta_seconds(counts, rate, count_waiting(database, missing)),
            sources=recordings,
            failed_chunks=_failures(database, "failed", {"dismissed_at": None}, ("failed_at", -1)),
            resting_chunks=_failures(database, "pending", at_rest, ("not_before", 1))
            if resting
            else (),
            missing_models=missing,
            notifications=destination_statuses(database, now),
            dismissed=_count(database, "failed", {"dismissed_at": {"$ne": None}})
            if counts.failed
            else 0,
        )


def _count(database: Database, state: State, also: Document) -> int:
    return database.count_chunks({**QUERIES[state], **also})


def _progress(
    database: Database, by_recording: Mapping[Any, RecordingSums]
) -> Iterator[RecordingProgress]:
    """Yield the recordings, oldest first, and then ids that only chunks refer to."""
    fields = [*NAME_FIELDS, "duration", "ingested_at"]
    documents = {d["_id"]: d for d in database.recordings.find({}, fields).sort("_id", 1)}
    recordings = {
        id_: read_recording(documents.get(id_, {"_id": id_}))
        for id_ in {**documents, **by_recording}
    }
    labels = labels_of(recordings.values())
    for id_, recording in recordings.items():
        sums = by_recording.get(id_, RecordingSums())
        yield RecordingProgress(
            id=id_,
            filename=_NO_RECORDING if id_ is None else recording.filename,
            path=recording.path,
            label=_NO_RECORDING if id_ is None else labels[id_],
            duration_seconds=recording.duration,
            is_ingesting=recording.is_ingesting,
            counts=sums.counts,
            silent_speech_seconds=round(sums.silent_speech_seconds, 1),
        )


def recent_rate(database: Database, now: datetime) -> Rate:
    """Measure the speed since the first result in the window, or over all of the window.

    Raise DatabaseUnavailable.
    """
    since = now - timedelta(seconds=RATE_WINDOW_SECONDS)
    done = sum_up(database, {"transcribed_at": {"$gte": since}}, now)
    if done.first_at is None:
        return Rate(RATE_WINDOW_SECONDS, 0, 0.0, 0.0)
    seconds = max((now - done.first_at).total_seconds(), _MIN_WINDOW_SECONDS)
    return Rate(seconds, done.chunks, done.chunks * 60 / seconds, done.audio_seconds / seconds)


def eta_seconds(counts: StateCounts, rate: Rate, waiting: int = 0) -> float | None:
    """Return the time that the open chunks take, but for `waiting`, which no worker can take.

    None if nothing was transcribed lately, or if all of them wait.
    """
    if counts.open == 0:
        return 0.0
    able = counts.open - waiting
    return able * 60 / rate.chunks_per_minute if able > 0 and rate.chunks_per_minute else None


def _failures(
    database: Database,
    state: State,
    also: Document,
    order: tuple[str, int],
) -> tuple[FailedChunk, ...]:
    """Return the first few chunks in a state that have failed, in the order of one field."""
    query = {**QUERIES[state], **also}
    found = list(database.chunks.find(query, _FAILURE_FIELDS).sort(*order).limit(_MAX_FAILURES))
    names = recording_names(database, (read_chunk(document).recording_id for document in found))
    return tuple(_failed_chunk(document, names) for document in found)


def _failed_chunk(document: Document, names: Mapping[Any, RecordingName]) -> FailedChunk:
    chunk, errors = read_chunk(document), read_errors(document)
    last = errors[-1] if errors else RecordedError(None, "unknown", "", "", None)
    return FailedChunk(
        id=chunk.id,
        source_id=chunk.recording_id,
        **asdict(names[chunk.recording_id]),
        index=chunk.index,
        attempts=chunk.attempts,
        failed_at=read_time(document.get("failed_at")),
        kind=last.kind,
        message=last.message,
        worker=last.worker,
        server=last.server,
        again_at=chunk.not_before,
    )
