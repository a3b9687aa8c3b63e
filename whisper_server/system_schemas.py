"""What `GET /system` tells."""

from pydantic import BaseModel, Field

from whisper_server.hardware import Card
from whisper_server.presets import EnginePlan
from whisper_server.scheduler_state import InstanceState, InstanceStatus, SchedulerState
from whisper_server.schemas import JobStatus


class LoadedModelOut(BaseModel):
    """`is_ready`: loaded once; the copies say whether they have it in memory now."""

    name: str
    backend: str
    device: str
    compute_type: str
    is_ready: bool


class ShapeOut(BaseModel):
    """`streams` batches side by side on each copy, `threads` each, up to `batch_size` windows."""

    streams: int
    threads: int
    batch_size: int
    reason: str = Field(description="Where it comes from: settings, a calibration or a preset.")

    @classmethod
    def of(cls, plan: EnginePlan) -> "ShapeOut":
        shape = plan.shape
        return cls(
            streams=shape.streams,
            threads=shape.threads,
            batch_size=shape.batch_size,
            reason=shape.reason,
        )


class InstanceOut(BaseModel):
    """One copy of the model. `batch_size` is smaller than the shape's after the device ran out of
    memory; `busy_seconds` adds up its streams."""

    id: int
    device: str
    status: InstanceStatus
    batch_size: int
    batches: int
    windows: int
    audio_seconds: float
    busy_seconds: float

    @classmethod
    def of(cls, state: InstanceState) -> "InstanceOut":
        return cls(
            id=state.id,
            device=state.device,
            status=state.status,
            batch_size=state.batch_size,
            batches=state.batches,
            windows=state.windows,
            audio_seconds=round(state.audio_seconds, 3),
            busy_seconds=round(state.busy_seconds, 3),
        )


class QueueOut(BaseModel):
    """`capacity` requests are in work at once, of which `in_work` are; `waiting` are admitted
    beside them. `audio_seconds` of them and `windows` wait to be decoded."""

    capacity: int
    in_work: int
    waiting: int
    audio_seconds: float
    windows: int

    @classmethod
    def of(cls, state: SchedulerState) -> "QueueOut":
        return cls(
            capacity=state.capacity,
            in_work=state.in_work,
            waiting=state.waiting,
            audio_seconds=round(state.waiting_audio_seconds, 3),
            windows=state.queued_windows,
        )


class CardOut(BaseModel):
    """A CUDA card; what other programs use of it counts too."""

    index: int
    name: str
    memory_bytes: int
    used_bytes: int

    @classmethod
    def of(cls, card: Card) -> "CardOut":
        return cls(
            index=card.index,
            name=card.name,
            memory_bytes=card.memory_bytes,
            used_bytes=card.used_bytes,
        )


class MemoryOut(BaseModel):
    """`process_bytes` is what this process holds of the machine's `machine_bytes`; Apple's GPU
    shares them."""

    process_bytes: int
    machine_bytes: int
    cards: list[CardOut]


class SystemOut(BaseModel):
    """`batch_fill` is the share of a batch's places that were taken lately, `speed` the seconds of
    audio lately done in a second of work; null before the first batch."""

    uptime_seconds: float
    model: LoadedModelOut
    shape: ShapeOut
    instances: list[InstanceOut]
    queue: QueueOut
    jobs: dict[JobStatus, int]
    batch_fill: float | None
    speed: float | None
    cores: int
    memory: MemoryOut
    versions: dict[str, str]
