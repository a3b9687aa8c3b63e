"""The queue, the workers and this process as they are now."""

from collections.abc import Container
from dataclasses import asdict
from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel

from stt.coordinator.schemas.base import AnyId, Schema
from stt.coordinator.store.chunk_counts import HourlyThroughput
from stt.domain.field_types import Tenths, Whole
from stt.domain.worker_id import WorkerId
from stt.store.model_routing import WaitingChunks
from stt.store.status import Rate
from stt.store.workers import WorkerStatus


class QueueCounts(Schema):
    """Chunks by state, and all of them."""

    pending: int
    processing: int
    transcribed: int
    failed: int
    total: int


class NodeCounts(Schema):
    """Nodes by state."""

    online: int = 0
    busy: int = 0
    offline: int = 0


class QueueSnapshot(Schema):
    """The queue at `at`, the database server's time; lengths in seconds.

    `empty` of the transcribed chunks have no words, `resting` of the pending ones wait after a
    failure, `dismissed` of the failed ones are not in quarantine, `stale` of the claims have
    outlived their lease. `eta_seconds`: null while nothing moves. `machines_alive`: those on which
    the `workers_alive` are. `errors_last_hour`: chunks that had one. `uploads_open`: being received
    or cut. `missing_models`: what waits for a model that no worker has.
    """

    at: datetime
    counts: QueueCounts
    empty: int
    resting: int
    stale: int
    audio_seconds_done: Tenths
    audio_seconds_total: Tenths
    rate: Rate
    eta_seconds: Whole | None
    nodes: NodeCounts
    workers_alive: int
    machines_alive: int = 0
    errors_last_hour: int
    uploads_open: int
    missing_models: tuple[WaitingChunks, ...] = ()
    dismissed: int = 0


class ThroughputOut(BaseModel):
    """Oldest first; the last hour is not over yet."""

    buckets: tuple[HourlyThroughput, ...]


class WorkerOut(Schema):
    """A process that works, or did within the last day; `age_seconds` since its last heartbeat.

    It transcribes `chunks`; `missing_models` are wanted, and none of its servers has them; `models`
    are those that they list, empty if that is unknown; `finds_speakers`: whether any of them does,
    null if that is unknown. `node_id`: null for a worker that reaches the database itself.
    """

    id: str
    host: str
    server: str
    state: str
    slots: int
    chunks: list[AnyId]
    counts: dict[str, int]
    missing_models: list[str]
    models: list[str]
    finds_speakers: bool | None
    age_seconds: Tenths
    is_alive: bool
    node_id: str | None

    @classmethod
    def of(cls, worker: WorkerStatus, node_ids: Container[str]) -> Self:
        """Describe a worker; `node_ids` are those of all nodes."""
        owner = WorkerId(worker.id).owner
        return cls(
            **asdict(worker.report),
            id=worker.id,
            age_seconds=worker.age_seconds,
            is_alive=worker.is_alive,
            node_id=owner if owner in node_ids else None,
        )


class WorkerList(BaseModel):
    """The most recently active first."""

    workers: list[WorkerOut]


class HealthOut(BaseModel):
    """`degraded`: this process works, and waits for its database."""

    status: Literal["ok", "degraded"]
    database: bool
    version: str


class SessionOut(BaseModel):
    """The coordinator that the session belongs to.

    `public_url`: the address that others use, if it is set. `recording_suffixes`: those of files
    that are taken for recordings without a look inside, such as `.mp3`.
    """

    version: str
    public_url: str | None
    recording_suffixes: list[str]
