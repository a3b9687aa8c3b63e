"""The queue and the workers as the coordinator tells of them."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from stt.coordinator.store.status import QueueNow
from stt.store.workers import WorkerStatus


class _Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class CountsOut(_Out):
    """Chunks by state."""

    pending: int
    processing: int
    transcribed: int
    failed: int
    total: int


class RateOut(_Out):
    """Speed of the whole fleet over the last `window_seconds`."""

    chunks_per_minute: float
    audio_seconds_per_second: float
    window_seconds: float


class NodeCountsOut(_Out):
    """Nodes by state."""

    online: int
    busy: int
    offline: int


class StatusOut(_Out):
    """The queue at `at`, the database server's time.

    `empty` of the transcribed chunks said nothing, `resting` of the pending ones wait after a
    failure, `stale` of the claims have outlived their lease. `eta_seconds`: null while nothing
    moves. `errors_last_hour`: chunks that had one. `uploads_open`: on their way, or being cut.
    """

    at: datetime
    counts: CountsOut
    empty: int
    resting: int
    stale: int
    audio_seconds_done: float
    audio_seconds_total: float
    rate: RateOut
    eta_seconds: float | None
    nodes: NodeCountsOut
    workers_alive: int
    errors_last_hour: int
    uploads_open: int

    @classmethod
    def of(cls, now: QueueNow) -> "StatusOut":
        """Rounded to what anybody reads, so that little is told anew while little happens."""
        out = cls.model_validate(now)
        out.audio_seconds_done = round(out.audio_seconds_done, 1)
        out.audio_seconds_total = round(out.audio_seconds_total, 1)
        out.rate.chunks_per_minute = round(out.rate.chunks_per_minute, 1)
        out.rate.audio_seconds_per_second = round(out.rate.audio_seconds_per_second, 2)
        out.rate.window_seconds = round(out.rate.window_seconds)
        if out.eta_seconds is not None:
            out.eta_seconds = round(out.eta_seconds)
        return out


class WorkerOut(_Out):
    """A process that works, or did within the last day; `age_seconds` since its last heartbeat.

    `chunks` are in work. `node_id`: of the node that it is of; null for a worker at the database.
    """

    id: str
    host: str
    server: str
    state: str
    slots: int
    chunks: list[str]
    counts: dict[str, int]
    age_seconds: float
    is_alive: bool
    node_id: str | None

    @classmethod
    def of(cls, member: WorkerStatus, node_id: str | None) -> "WorkerOut":
        report = member.report
        return cls(
            id=member.id,
            host=report.host,
            server=report.server,
            state=report.state,
            slots=report.slots,
            chunks=[str(chunk) for chunk in report.chunks],
            counts=dict(report.counts),
            age_seconds=round(member.age_seconds, 1),
            is_alive=member.is_alive,
            node_id=node_id,
        )
