"""What the queue and the fleet look like now, for people, for nodes and for Prometheus."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict

from stt.coordinator.answers import refusals
from stt.coordinator.context import PEOPLE_ONLY, InCoordinator
from stt.coordinator.metrics import CONTENT_TYPE, meter_of
from stt.coordinator.schemas.status import StatusOut, WorkerOut
from stt.store.workers import MongoRoster

router = APIRouter(tags=["status"], responses=refusals(503))

_MAX_HISTORY_HOURS = 168


class BucketOut(BaseModel):
    """An hour by the clock, from `at` on; `failed` chunks went into quarantine."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    chunks: int
    audio_seconds: float
    failed: int


class ThroughputOut(BaseModel):
    """Oldest first; the last hour is not over yet."""

    buckets: list[BucketOut]


class WorkersOut(BaseModel):
    workers: list[WorkerOut]


@router.get("/status", summary="The queue now")
@router.get("/api/queue/status", summary="The queue now, as /status")
def status(coordinator: InCoordinator) -> StatusOut:
    return StatusOut.of(coordinator.watch.now())


@router.get(
    "/api/queue/throughput",
    summary="What was done in each of the last hours",
    dependencies=[PEOPLE_ONLY],
)
def throughput(
    coordinator: InCoordinator, hours: Annotated[int, Query(ge=1, le=_MAX_HISTORY_HOURS)] = 24
) -> ThroughputOut:
    found = coordinator.watch.throughput(hours)
    return ThroughputOut(
        buckets=[BucketOut.model_validate(hourly_throughput) for hourly_throughput in found]
    )


@router.get(
    "/api/workers", summary="Who is at work, or was in the last day", dependencies=[PEOPLE_ONLY]
)
def workers(coordinator: InCoordinator) -> WorkersOut:
    nodes = coordinator.registry.look().nodes
    found = []
    for member in MongoRoster(coordinator.database).members():
        owner = member.id.rpartition("_")[0]
        found.append(WorkerOut.of(member, owner if owner in nodes else None))
    return WorkersOut(workers=found)


@router.get(
    "/metrics",
    summary="Numbers for Prometheus",
    response_class=PlainTextResponse,
    dependencies=[PEOPLE_ONLY],
)
def metrics(request: Request, coordinator: InCoordinator) -> PlainTextResponse:
    text = meter_of(request).text(coordinator.watch)
    return PlainTextResponse(text, media_type=CONTENT_TYPE)
