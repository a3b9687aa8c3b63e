"""The quarantine, and the queue changed by hand: chunks retried, reset and released."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from bson import ObjectId
from fastapi import APIRouter, Query

from stt.coordinator.context import PEOPLE_ONLY, Coordinator, InCoordinator
from stt.coordinator.errors import Conflict
from stt.coordinator.openapi import error_responses
from stt.coordinator.schemas.base import Acknowledgement, ChunkCount
from stt.coordinator.schemas.queue import FailedChunks, QuarantinedChunk, QuarantineList
from stt.coordinator.store.listing import count_quarantine, format_of, read_quarantine
from stt.domain.field_types import HexId
from stt.store import claims, dismissal
from stt.store.edits import check_edits
from stt.store.states import WITH_AUDIO, WITHOUT_EDITS

router = APIRouter(prefix="/api", tags=["queue"], dependencies=[PEOPLE_ONLY])

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@router.get("/quarantine", summary="Chunks that are not tried any more, and why")
def list_quarantine(
    coordinator: InCoordinator,
    cursor: Annotated[str | None, Query(pattern="^[0-9]{1,14}-[0-9a-f]{24}$")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    source_id: HexId | None = None,
    dismissed: Annotated[bool, Query(description="Those that were dismissed instead.")] = False,
) -> QuarantineList:
    """Those of all recordings, or of one."""
    database = coordinator.database
    after = None if cursor is None else _parse_cursor(cursor)
    found = read_quarantine(database, limit, after, source_id, dismissed=dismissed)
    last = found[-1] if len(found) == limit else None
    return QuarantineList(
        chunks=found,
        cursor=None if last is None else _cursor_of(last),
        total=count_quarantine(database, source_id, dismissed=dismissed),
        dismissed=count_quarantine(database, source_id, dismissed=True),
    )


@router.post("/queue/retry", summary="Gives chunks in quarantine another chance")
def retry_all(coordinator: InCoordinator, request: FailedChunks | None = None) -> ChunkCount:
    recording_id = request.source_id if request else None
    count = claims.retry(coordinator.database, recording_id=recording_id)
    coordinator.queue_monitor.invalidate()
    return ChunkCount(chunks=count)


@router.post(
    "/queue/{chunk_id}/retry",
    summary="Gives a chunk in quarantine another chance",
    responses=error_responses(404, 409),
)
def retry(chunk_id: HexId, coordinator: InCoordinator) -> Acknowledgement:
    count = claims.retry(coordinator.database, [chunk_id])
    return _acknowledge(coordinator, chunk_id, count, "has not failed")


@router.post("/queue/dismiss", summary="Takes chunks out of the quarantine; they stay failed")
def dismiss_all(coordinator: InCoordinator, request: FailedChunks | None = None) -> ChunkCount:
    """Their text is missing as before, and they are listed nowhere unless asked for."""
    recording_id = request.source_id if request else None
    count = dismissal.dismiss(coordinator.database, recording_id=recording_id)
    coordinator.queue_monitor.invalidate()
    return ChunkCount(chunks=count)


@router.post(
    "/queue/{chunk_id}/dismiss",
    summary="Takes a chunk out of the quarantine; it stays failed",
    responses=error_responses(404, 409),
)
def dismiss(chunk_id: HexId, coordinator: InCoordinator) -> Acknowledgement:
    count = dismissal.dismiss(coordinator.database, [chunk_id])
    return _acknowledge(coordinator, chunk_id, count, "is not in quarantine")


@router.post(
    "/queue/{chunk_id}/put-back",
    summary="Puts a dismissed chunk back into the quarantine",
    responses=error_responses(404, 409),
)
def put_back(chunk_id: HexId, coordinator: InCoordinator) -> Acknowledgement:
    count = dismissal.put_back(coordinator.database, [chunk_id])
    return _acknowledge(coordinator, chunk_id, count, "was not dismissed")


@router.post(
    "/queue/{chunk_id}/reset",
    summary="Transcribes a chunk again, whatever its state; its transcript stays until then",
    responses=error_responses(404, 409),
)
def reset(
    chunk_id: HexId,
    coordinator: InCoordinator,
    drop_edits: Annotated[bool, Query(description="Also if people have edited its text.")] = False,
) -> Acknowledgement:
    only = WITH_AUDIO
    if not drop_edits:
        check_edits(coordinator.database, {"_id": chunk_id})
        only = {**WITH_AUDIO, **WITHOUT_EDITS}
    count = claims.reset(coordinator.database, [chunk_id], only=only)
    return _acknowledge(coordinator, chunk_id, count, "has no audio any more")


@router.post(
    "/queue/{chunk_id}/release",
    summary="Takes a chunk away from the worker that holds it, whose result is then dropped",
    responses=error_responses(404, 409),
)
def release(chunk_id: HexId, coordinator: InCoordinator) -> Acknowledgement:
    count = claims.release(coordinator.database, [chunk_id])
    return _acknowledge(coordinator, chunk_id, count, "is not being transcribed")


def _acknowledge(
    coordinator: Coordinator, chunk_id: ObjectId, count: int, state: str
) -> Acknowledgement:
    """Raise NotFound, or Conflict for a chunk whose state does not allow the change."""
    if not count:
        format_of(coordinator.database, chunk_id)  # raises NotFound
        raise Conflict(f"Chunk {chunk_id} {state}.")
    coordinator.queue_monitor.invalidate()
    return Acknowledgement()


def _cursor_of(last: QuarantinedChunk) -> str | None:
    """Return milliseconds since 1970 and the chunk's id."""
    if last.failed_at is None:
        return None
    return f"{(last.failed_at - _EPOCH) // timedelta(milliseconds=1)}-{last.id}"


def _parse_cursor(cursor: str) -> tuple[datetime, ObjectId]:
    milliseconds, _, id_ = cursor.partition("-")
    return _EPOCH + timedelta(milliseconds=int(milliseconds)), ObjectId(id_)
