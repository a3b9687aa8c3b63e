"""Changes to many recordings at once."""

from typing import Annotated

from pydantic import BaseModel, Field

from stt.coordinator.schemas.recordings import RetranscriptionRequest
from stt.domain.field_types import HexId

Ids = Annotated[list[HexId], Field(min_length=1, max_length=200)]


class BulkRemoval(BaseModel):
    """The recordings to remove."""

    ids: Ids


class BulkTranscription(RetranscriptionRequest):
    """The recordings to transcribe again, and the options for all of them."""

    ids: Ids


class UnchangedRecording(BaseModel):
    """A recording that could not be changed, and why; `code` as of an error for it alone."""

    id: HexId
    code: str
    message: str


class BulkResult(BaseModel):
    """How many recordings were changed, and how many chunks of them."""

    recordings: int
    chunks: int
    unchanged: list[UnchangedRecording]
