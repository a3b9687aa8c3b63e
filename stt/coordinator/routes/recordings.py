"""Recordings: list, change, transcribe again, remove."""

from typing import Annotated

from fastapi import APIRouter, Query

from stt.coordinator.context import PEOPLE_ONLY, InCoordinator
from stt.coordinator.openapi import error_responses
from stt.coordinator.recording_filter import WantedRecordings
from stt.coordinator.schemas.base import ChunkCount
from stt.coordinator.schemas.recordings import RecordingChange, RetranscriptionRequest
from stt.domain.field_types import HexId
from stt.store import retranscription
from stt.store.ingest_options import changed_options
from stt.store.recording_list import (
    CURSOR_PATTERN,
    FilterChoices,
    RecordingIds,
    RecordingList,
    Sort,
)
from stt.store.recordings import RecordingDetails
from stt.store.renaming import rename

router = APIRouter(prefix="/api/recordings", tags=["recordings"], dependencies=[PEOPLE_ONLY])


@router.get("", summary="Recordings, paged")
def recordings(
    coordinator: InCoordinator,
    wanted: WantedRecordings,
    cursor: Annotated[str | None, Query(pattern=CURSOR_PATTERN, max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    sort: Annotated[
        Sort,
        Query(description="By what; with - the largest first. new, old: by when it was added."),
    ] = "new",
) -> RecordingList:
    """List those that match all that is given, the newest first unless `sort` says otherwise."""
    return coordinator.lister.page(wanted, sort=sort, cursor=cursor, limit=limit)


@router.get("/ids", summary="The ids of recordings, all at once")
def recording_ids(
    coordinator: InCoordinator, wanted: WantedRecordings, sort: Sort = "new"
) -> RecordingIds:
    """List those that match all that is given."""
    return coordinator.exact_lister.ids(wanted, sort=sort)


@router.get("/choices", summary="The folders, languages and models that recordings have")
def recording_choices(coordinator: InCoordinator) -> FilterChoices:
    """List what recordings can be filtered by; what is new takes some seconds to come in."""
    return coordinator.lister.choices()


@router.get("/{source_id}", summary="One recording", responses=error_responses(404))
def recording(coordinator: InCoordinator, source_id: HexId) -> RecordingDetails:
    return coordinator.recordings.details(source_id)


@router.patch(
    "/{source_id}", summary="Change name, options or priority", responses=error_responses(404, 409)
)
def change_recording(
    coordinator: InCoordinator, source_id: HexId, change: RecordingChange
) -> RecordingDetails:
    """Apply options to the chunks not transcribed yet, how many speak also to those with speakers.

    A new name gets the extension of the file. Answer 409 if it is not called `filename_before`.
    """
    names = {"filename", "filename_before"}
    options = changed_options(change.model_dump(exclude_unset=True, exclude=names))
    coordinator.recordings.check(source_id, options)
    if change.filename is not None:
        rename(coordinator.database, source_id, change.filename, before=change.filename_before)
    coordinator.recordings.change(source_id, options)
    return recording(coordinator, source_id)


@router.post(
    "/{source_id}/transcribe", summary="Transcribe it again", responses=error_responses(404, 409)
)
def transcribe_again(
    coordinator: InCoordinator, source_id: HexId, again: RetranscriptionRequest | None = None
) -> ChunkCount:
    """Every chunk with audio becomes pending again; its text stays until the new one is there."""
    again = again or RetranscriptionRequest()
    options = changed_options(again.model_dump(exclude_unset=True, exclude={"drop_edits"}))
    chunks = retranscription.transcribe_again(
        coordinator.database, source_id, options, drop_edits=again.drop_edits
    )
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
