"""The chunks of the queue, and changes to them."""

from datetime import datetime

from pydantic import BaseModel, Field

from stt.coordinator.schemas.base import AnyId
from stt.domain.chunk import RecordedError
from stt.domain.field_types import ForeignId, HexId


class _ChunkFields(BaseModel):
    id: AnyId
    source_id: ForeignId = Field(validation_alias="recording_id")
    filename: str
    path: str | None
    label: str
    index: int
    offset: float | None
    duration: float | None
    attempts: int
    expirations: int
    failed_at: datetime | None


class ChunkRow(_ChunkFields):
    """A chunk of the queue; `offset` and `duration` in seconds.

    `text`: the beginning of its transcript, null without one. `error`: the last one.
    """

    state: str
    worker: str | None
    claimed_at: datetime | None
    priority: int
    not_before: datetime | None
    transcribed_at: datetime | None
    error: RecordedError | None
    text: str | None


class ChunkList(BaseModel):
    """`cursor` for the next page, null at the end."""

    tasks: list[ChunkRow]
    cursor: str | None


class QuarantinedChunk(_ChunkFields):
    """A chunk that is not tried any more; `offset` and `duration` in seconds.

    `attempts` ended in a failure, `expirations` with a worker that vanished; `errors` oldest first.
    `model`: the one that its recording asks for, null for each worker's own. `reason` and `advice`
    say in words what the last error was, and what to do.
    """

    format: str | None
    model: str | None
    dismissed_at: datetime | None
    reason: str
    advice: str
    errors: tuple[RecordedError, ...]


class QuarantineList(BaseModel):
    """The latest failures first; `cursor` for the next page, null at the end.

    `total` are in the list on all its pages; `dismissed` chunks are not in it unless asked for.
    """

    chunks: list[QuarantinedChunk]
    cursor: str | None
    total: int
    dismissed: int


class FailedChunks(BaseModel):
    """Without a `source_id` all chunks in quarantine are meant."""

    source_id: HexId | None = None


class PendingCount(BaseModel):
    """How many chunks are pending, including those that wait after a failure.

    `audio_seconds`: about how long they are together.
    """

    pending: int
    audio_seconds: float = 0.0


class LeaseRenewal(BaseModel):
    """The length of the lease, which begins anew; `lost`: the chunks whose claims are lost."""

    lease_seconds: float
    lost: list[HexId] = []
