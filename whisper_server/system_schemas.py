"""The JSON of `GET /system`."""

from pydantic import BaseModel, Field

from whisper_server.hardware import Card
from whisper_server.presets import Shape
from whisper_server.scheduler_state import InstanceState
from whisper_server.schemas import FromAttributes, JobStatus, Rounded


class LoadedModelOut(BaseModel):
    """`is_ready`: loaded once; the copies say whether they have it in memory now."""

    name: str
    backend: str
    device: str
    compute_type: str
    is_ready: bool


class QueueOut(FromAttributes):
    """The requests and what is left of them.

    `capacity` of them are in work at once, of which `in_work` are; `waiting` are admitted beside
    them. `audio_seconds` of them and `windows` wait to be decoded.
    """

    capacity: int
    in_work: int
    waiting: int
    audio_seconds: Rounded = Field(validation_alias="waiting_audio_seconds")
    windows: int = Field(validation_alias="queued_windows")


class MemoryOut(BaseModel):
    """`process_bytes` of the machine's `machine_bytes`, which Apple's GPU shares."""

    process_bytes: int
    machine_bytes: int
    cards: tuple[Card, ...]


class SystemOut(BaseModel):
    """The whole server.

    `batch_fill` is the share of a batch's places that were taken lately, `speed` the seconds of
    audio lately done in a second of work; null before the first batch.
    """

    uptime_seconds: Rounded
    model: LoadedModelOut
    shape: Shape
    instances: tuple[InstanceState, ...]
    queue: QueueOut
    jobs: dict[JobStatus, int]
    batch_fill: float | None
    speed: float | None
    cores: int
    memory: MemoryOut
    versions: dict[str, str]
