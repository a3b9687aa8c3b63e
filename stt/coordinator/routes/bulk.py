"""Many recordings at once: remove, transcribe again, download."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import PurePosixPath
from typing import Annotated, Literal

from bson import ObjectId
from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from stt.coordinator.context import PEOPLE_ONLY, Coordinator, InCoordinator
from stt.coordinator.downloads import content_disposition
from stt.coordinator.errors import code_of
from stt.coordinator.openapi import error_responses
from stt.coordinator.recording_filter import WantedRecordings
from stt.coordinator.routes.recordings import remove_recording, transcribe_again
from stt.coordinator.schemas.bulk import (
    BulkRemoval,
    BulkResult,
    BulkTranscription,
    UnchangedRecording,
)
from stt.coordinator.schemas.recordings import RetranscriptionRequest
from stt.domain.chunk import Recording
from stt.errors import (
    AudioRemoved,
    ChannelsSplit,
    DatabaseUnavailable,
    HasEdits,
    NotFound,
    SttError,
)
from stt.store.export import Export
from stt.transcripts.zip_stream import zip_stream

router = APIRouter(dependencies=[PEOPLE_ONLY])

Format = Literal["json", "txt", "srt", "vtt", "tsv"]


@router.post("/api/recordings/delete", tags=["recordings"], summary="Remove recordings")
def remove_recordings(coordinator: InCoordinator, removal: BulkRemoval) -> BulkResult:
    """Remove them one after the other; those that are gone already count too."""

    def remove(recording_id: ObjectId) -> int:
        with suppress(NotFound):
            remove_recording(coordinator, recording_id)
        return 0

    return _each(coordinator, removal.ids, remove)


@router.post(
    "/api/recordings/transcribe", tags=["recordings"], summary="Transcribe recordings again"
)
def transcribe_recordings_again(
    coordinator: InCoordinator, wanted: BulkTranscription
) -> BulkResult:
    """Transcribe them as one by one; leave out those that cannot be, and say why."""
    fields = wanted.model_dump(exclude_unset=True, exclude={"ids"})
    request = RetranscriptionRequest(**fields)
    return _each(
        coordinator, wanted.ids, lambda id_: transcribe_again(coordinator, id_, request).chunks
    )


@router.get(
    "/results.zip",
    tags=["results"],
    summary="The transcripts of recordings",
    response_class=StreamingResponse,
    responses={
        200: {"description": "A zip file with folders.", "content": {"application/zip": {}}},
        **error_responses(404),
    },
)
def results(
    coordinator: InCoordinator,
    wanted: WantedRecordings,
    formats: Annotated[list[Format] | None, Query(alias="format", max_length=5)] = None,
) -> StreamingResponse:
    """Send those that match all that is given, oldest first, while they are read.

    Each lies in its recording's folder. Partial ones are marked in their text.
    `not in this file.txt` names those that cannot be read.
    """
    found = coordinator.recordings.several(coordinator.exact_lister.ids(wanted, sort="old").ids)
    if not found:
        raise NotFound("No recording matches.")
    blocks = zip_stream(_files(coordinator, found, list(dict.fromkeys(formats or ["txt"]))))
    first = next(blocks)  # an error of the database shows before the 200 is sent
    name = f"{PurePosixPath(wanted.folder).name or 'transcripts'}.zip"
    headers = {"Content-Disposition": content_disposition(name, "attachment")}
    return StreamingResponse(chain([first], blocks), headers=headers, media_type="application/zip")


def _files(
    coordinator: Coordinator, recordings: list[Recording], formats: list[Format]
) -> Iterator[tuple[str, str]]:
    """Yield the names and texts of the files, last of all what could not be read."""
    faults = []
    stems = coordinator.recordings.file_stems(recordings, in_folders=True)
    for recording, stem in zip(recordings, stems, strict=True):
        for name in formats:
            try:
                text = "".join(Export(coordinator.database, recording).pieces(name))
            except DatabaseUnavailable:
                raise
            except SttError as error:
                faults.append(f"{stem}.{name}: {error}\n")
            else:
                yield f"{stem}.{name}", text
    if faults:
        yield "not in this file.txt", "".join(faults)


def _each(
    coordinator: Coordinator, ids: list[ObjectId], change: Callable[[ObjectId], int]
) -> BulkResult:
    """Change recordings one by one; `change` returns how many chunks."""
    chunks, changed, unchanged = 0, 0, []
    for recording_id in dict.fromkeys(ids):
        try:
            chunks += change(recording_id)
            changed += 1
        except (NotFound, AudioRemoved, ChannelsSplit, HasEdits) as error:
            left = UnchangedRecording(id=recording_id, code=code_of(error), message=str(error))
            unchanged.append(left)
    return BulkResult(recordings=changed, chunks=chunks, unchanged=unchanged)
