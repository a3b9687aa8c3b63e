"""The scheduler's state, and the progress of what it works on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from whisper_server.engines.base import Segment

InstanceStatus = Literal["loading", "idle", "busy", "unloaded"]


@dataclass(frozen=True)
class Progress:
    """Progress of one recording: `segments` became ready, in order, since the last report.

    `seconds_done` of the recording are transcribed without a gap from its start; `seconds_total`
    is 0 while unknown. `instances` have worked on it so far. The first report means that
    it has its place in the queue, the second (`is_begun`) that its turn has come.
    """

    seconds_done: float
    seconds_total: float
    segments: tuple[Segment, ...]
    instances: tuple[int, ...]
    is_begun: bool = True


OnProgress = Callable[[Progress], None]


@dataclass
class InstanceState:
    """One copy of the model.

    `batch_size` is smaller than the shape's after the device ran out of memory; `busy_seconds`
    adds up its streams' decoding.
    """

    id: int
    device: str
    status: InstanceStatus
    batch_size: int
    batches: int
    windows: int
    audio_seconds: float
    busy_seconds: float


@dataclass(frozen=True)
class SchedulerState:
    """`capacity` requests are in work at once, `waiting` ones are admitted beside them.

    `batch_fill` is the share of a batch's places that were taken lately, `speed` the seconds of
    audio lately done in a second while there was work; both None before the first batch.
    """

    capacity: int
    in_work: int
    waiting: int
    waiting_audio_seconds: float
    queued_windows: int
    batch_fill: float | None
    speed: float | None
    instances: tuple[InstanceState, ...]
