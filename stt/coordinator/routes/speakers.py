"""The speakers of a recording: list, name, merge, and where each can be heard."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from stt.coordinator.context import PEOPLE_ONLY, Coordinator, InCoordinator
from stt.coordinator.openapi import error_responses
from stt.coordinator.schemas.speakers import SpeakerMerge, SpeakerName, SpeakerOut, SpeakersOut
from stt.domain.chunk import Recording
from stt.domain.field_types import Count, HexId
from stt.domain.speakers import RecordingSpeakers
from stt.errors import NotFound
from stt.store import recording_speakers
from stt.store.export import Export
from stt.store.retranscription import count_without_speakers
from stt.store.voice_samples import VoiceSample, find_sample

router = APIRouter(
    prefix="/api/recordings/{source_id}/speakers",
    tags=["recordings"],
    dependencies=[PEOPLE_ONLY],
    responses=error_responses(404),
)

# `:path`, for a name may have a slash.
SpeakerId = Annotated[str, Path(max_length=1_000, description="Its id or name.")]


@router.get(
    "",
    summary="The speakers of a recording",
    response_model=SpeakersOut,
    responses={204: {"description": "They are those of the version `seen`."}},
)
def speakers(
    coordinator: InCoordinator,
    source_id: HexId,
    seen: Annotated[
        Count | None, Query(description="A version: answer 204 if it is still that one.")
    ] = None,
) -> SpeakersOut | Response:
    """List none where speakers were not asked for, or are not known yet."""
    recording = coordinator.recordings.get(source_id)
    database = coordinator.database
    if seen is not None and recording_speakers.is_current(database, recording, seen):
        return Response(status_code=204)
    return _answer(coordinator, recording, recording_speakers.read(database, recording))


@router.patch("/{speaker:path}", summary="Name a speaker", responses=error_responses(409))
def name_speaker(
    coordinator: InCoordinator, source_id: HexId, speaker: SpeakerId, change: SpeakerName
) -> SpeakersOut:
    """Answer 409 if the speaker is not called `label_before`: nothing is overwritten unseen."""
    recording = coordinator.recordings.get(source_id)
    renamed = recording_speakers.rename(
        coordinator.database, recording, speaker, change.name, before=change.label_before
    )
    return _answer(coordinator, recording, renamed)


@router.post(
    "/{speaker:path}/merge",
    summary="Count a speaker as another one",
    responses=error_responses(409),
)
def merge_speaker(
    coordinator: InCoordinator, source_id: HexId, speaker: SpeakerId, merge: SpeakerMerge
) -> SpeakersOut:
    """Do it for good, also for what is transcribed again.

    A speaker without a name takes that of the one merged into it. Answer 409 if one of the two is
    not called as it was before.
    """
    recording = coordinator.recordings.get(source_id)
    merged = recording_speakers.merge(
        coordinator.database, recording, speaker, merge.into,
        before=merge.label_before, into_before=merge.into_label_before,
    )  # fmt: skip
    return _answer(coordinator, recording, merged)


@router.get("/{speaker:path}/sample", summary="Where a speaker talks alone")
def voice_sample(coordinator: InCoordinator, source_id: HexId, speaker: SpeakerId) -> VoiceSample:
    """Answer with at most six seconds of the recording, 404 where no audio of them is kept."""
    export = Export(coordinator.database, coordinator.recordings.get(source_id))
    label = export.speakers.find(speaker).label
    sample = find_sample(export, label)
    if sample is None:
        raise NotFound(f"No audio in which {label} speaks alone is kept.")
    return sample


def _answer(
    coordinator: Coordinator, recording: Recording, found: RecordingSpeakers
) -> SpeakersOut:
    return SpeakersOut(
        version=found.version,
        chunks_without=count_without_speakers(coordinator.database, recording),
        speakers=[SpeakerOut.model_validate(one) for one in found.listed()],
    )
