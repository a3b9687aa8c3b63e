"""The queue mended by hand: chunks begun anew, tried again, taken away from who holds them."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from bson import ObjectId
from fastapi import APIRouter, Query
from pydantic import BaseModel

from stt.coordinator.answers import refusals
from stt.coordinator.context import PEOPLE_ONLY, Coordinator, InCoordinator
from stt.coordinator.errors import Conflict
from stt.coordinator.store.listing import format_of
from stt.domain.chunk import RecordedError
from stt.remote.messages import Id
from stt.store import claims
from stt.store.quarantine import Quarantined, count_quarantine, quarantine

router = APIRouter(
    prefix="/api", tags=["queue"], dependencies=[PEOPLE_ONLY], responses=refusals(422, 503)
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Done(BaseModel):
    ok: bool = True


class Count(BaseModel):
    """How many chunks it was."""

    chunks: int


class RetryRequest(BaseModel):
    """Without a `source_id` all chunks in quarantine are meant."""

    source_id: Id | None = None


class RecordedErrorOut(BaseModel):
    """`server` is the one that had a part in it."""

    at: datetime | None
    kind: str
    message: str
    worker: str
    server: str | None

    @classmethod
    def of(cls, fault: RecordedError) -> "RecordedErrorOut":
        return cls(
            at=fault.at,
            kind=fault.kind,
            message=fault.message,
            worker=fault.worker,
            server=fault.server,
        )


class QuarantinedOut(BaseModel):
    """A chunk that is not tried any more; `errors` oldest first, `offset` and `duration` seconds.

    `attempts` ended in a failure, `expirations` with a worker that vanished.
    """

    id: str
    source_id: str | None
    filename: str
    index: int
    offset: float | None
    duration: float | None
    format: str | None
    attempts: int
    expirations: int
    failed_at: datetime | None
    errors: list[RecordedErrorOut]

    @classmethod
    def of(cls, quarantined: Quarantined) -> "QuarantinedOut":
        chunk = quarantined.chunk
        return cls(
            id=str(chunk.id),
            source_id=None if chunk.recording_id is None else str(chunk.recording_id),
            filename=quarantined.filename,
            index=chunk.index,
            offset=chunk.offset,
            duration=chunk.duration,
            format=chunk.format,
            attempts=chunk.attempts,
            expirations=chunk.expirations,
            failed_at=quarantined.failed_at,
            errors=[RecordedErrorOut.of(fault) for fault in quarantined.errors],
        )


class QuarantineOut(BaseModel):
    """Those that failed last come first; `cursor` for the next page, null at the end."""

    chunks: list[QuarantinedOut]
    cursor: str | None
    total: int


@router.get("/quarantine", summary="Chunks that are not tried any more, and why")
def list_quarantine(
    coordinator: InCoordinator,
    cursor: Annotated[str | None, Query(pattern="^[0-9]{1,14}-[0-9a-f]{24}$")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> QuarantineOut:
    database = coordinator.database
    found = quarantine(database, limit, None if cursor is None else _place_of(cursor))
    last = found[-1] if len(found) == limit else None
    return QuarantineOut(
        chunks=[QuarantinedOut.of(quarantined) for quarantined in found],
        cursor=None if last is None or last.failed_at is None else _cursor_at(last),
        total=count_quarantine(database),
    )


@router.post("/queue/retry", summary="Gives chunks in quarantine another chance")
def retry_all(coordinator: InCoordinator, request: RetryRequest | None = None) -> Count:
    source_id = ObjectId(request.source_id) if request and request.source_id else None
    count = claims.retry(coordinator.database, recording_id=source_id)
    coordinator.watch.changed()
    return Count(chunks=count)


@router.post(
    "/queue/{chunk_id}/retry",
    summary="Gives a chunk in quarantine another chance",
    responses=refusals(404, 409),
)
def retry(chunk_id: Id, coordinator: InCoordinator) -> Done:
    count = claims.retry(coordinator.database, [ObjectId(chunk_id)])
    return _done(coordinator, chunk_id, count, "has not failed")


@router.post(
    "/queue/{chunk_id}/reset",
    summary="Begins a chunk anew, whatever its state; its transcript is dropped",
    responses=refusals(404),
)
def reset(chunk_id: Id, coordinator: InCoordinator) -> Done:
    count = claims.reset(coordinator.database, [ObjectId(chunk_id)])
    return _done(coordinator, chunk_id, count, "is gone")


@router.post(
    "/queue/{chunk_id}/release",
    summary="Takes a chunk away from the worker that holds it, whose result is then dropped",
    responses=refusals(404, 409),
)
def release(chunk_id: Id, coordinator: InCoordinator) -> Done:
    count = claims.release(coordinator.database, [ObjectId(chunk_id)])
    return _done(coordinator, chunk_id, count, "is not in work")


def _done(coordinator: Coordinator, chunk_id: str, count: int, otherwise: str) -> Done:
    """Raises NotFound, or Conflict for a chunk that is in no state for it."""
    if not count:
        format_of(coordinator.database, ObjectId(chunk_id))  # raises NotFound
        raise Conflict(f"Chunk {chunk_id} {otherwise}.")
    coordinator.watch.changed()
    return Done()


def _cursor_at(last: Quarantined) -> str:
    assert last.failed_at is not None
    milliseconds = (last.failed_at - _EPOCH) // timedelta(milliseconds=1)
    return f"{milliseconds}-{last.chunk.id}"


def _place_of(cursor: str) -> tuple[datetime, ObjectId]:
    milliseconds, _, id_ = cursor.partition("-")
    return _EPOCH + timedelta(milliseconds=int(milliseconds)), ObjectId(id_)
