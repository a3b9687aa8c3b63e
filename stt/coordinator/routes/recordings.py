"""Recordings: list, change, transcribe again, remove."""

from typing import Annotated, Literal

from bson import ObjectId
from fastapi import APIRouter, Query
from pydantic import BaseModel

from stt.coordinator.context import PEOPLE_ONLY, InCoordinator
from stt.coordinator.openapi import error_responses
from stt.coordinator.schemas.base import ChunkCount
from stt.coordinator.schemas.recordings import RecordingChange, RetranscriptionRequest
from stt.domain.field_types import HexId
from stt.store import claims
from stt.store.ingest import IngestOptions
from stt.store.recordings import ListState, MongoRecordings, RecordingDetails, RecordingList
from stt.store.retention import check_audio

router = APIRouter(prefix="/api/recordings", tags=["recordings"], dependencies=[PEOPLE_ONLY])


@router.get("", summary="Recordings, paged")
def recordings(
    coordinator: InCoordinator,
    search: Annotated[
        str, Query(max_length=500, description="A part of the file's name or path.")
    ] = "",
    state: Annotated[
        ListState, Query(description="open: more to do; failed: a chunk is in quarantine.")
    ] = "all",
    ids: Annotated[
        list[HexId] | None,
        Query(
            alias="id", max_length=200, description="Only these; those that are gone are left out."
        ),
    ] = None,
    cursor: HexId | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    sort: Literal["new", "old"] = "new",
) -> RecordingList:
    """List the newest first, unless `sort=old`."""
    return coordinator.recordings.page(
        search=search, state=state, ids=ids, after=cursor, limit=limit, oldest_first=sort == "old"
    )


@router.get("/{source_id}", summary="One recording", responses=error_responses(404))
def recording(coordinator: InCoordinator, source_id: HexId) -> RecordingDetails:
    return coordinator.recordings.details(source_id)


@router.patch(
    "/{source_id}", summary="Change language, task, prompt, hotwords, model or priority",
    responses=error_responses(404),
)  # fmt: skip
def change_recording(
    coordinator: InCoordinator, source_id: HexId, change: RecordingChange
) -> RecordingDetails:
    """Apply the change to the chunks that are not transcribed yet."""
    _change(coordinator.recordings, source_id, change)
    return recording(coordinator, source_id)


@router.post(
    "/{source_id}/transcribe", summary="Transcribe it again", responses=error_responses(404, 409)
)
def transcribe_again(
    coordinator: InCoordinator, source_id: HexId, again: RetranscriptionRequest | None = None
) -> ChunkCount:
    """Every chunk with audio becomes pending again; its text stays until the new one is there."""
    check_audio(coordinator.database, source_id)
    # Before the reset: a worker may claim a chunk the moment that it is pending.
    _change(coordinator.recordings, source_id, again or RetranscriptionRequest())
    chunks = claims.reset(coordinator.database, recording_id=source_id)
    coordinator.queue_monitor.invalidate()
    return ChunkCount(chunks=chunks)


@router.delete(
    "/{source_id}",
    status_code=204,
    summary="Remove a recording",
    responses=error_responses(404),
)
def remove_recording(coordinator: InCoordinator, source_id: HexId) -> None:
    """Remove its chunks, audio and transcripts too, even while workers have claims on them."""
    stored = coordinator.recordings.details(source_id)
    if stored.is_ingesting and stored.sha256 is not None:
        coordinator.uploads.cancel_all_of(stored.sha256)
    coordinator.recordings.remove(source_id)
    coordinator.queue_monitor.invalidate()


def _change(recordings: MongoRecordings, recording_id: ObjectId, change: BaseModel) -> None:
    """Store the fields that the request names. Raises ConfigError, NotFound."""
    fields = change.model_dump(exclude_unset=True)
    given = {name: value for name, value in fields.items() if value not in (None, "")}
    options = IngestOptions(**given)
    recordings.get(recording_id)
    if fields:
        recordings.change(recording_id, {name: getattr(options, name) for name in fields})
