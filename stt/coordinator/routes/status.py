"""The queue and the fleet as they are now, for people, for nodes and for Prometheus."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from stt.coordinator.context import PEOPLE_ONLY, InCoordinator
from stt.coordinator.schemas.status import QueueSnapshot, ThroughputOut, WorkerList, WorkerOut

router = APIRouter(tags=["status"])
_people = APIRouter(dependencies=[PEOPLE_ONLY])

_MAX_HISTORY_HOURS = 168


@router.get("/status", summary="The queue now")
@router.get("/api/queue/status", summary="The queue now, as /status")
def status(coordinator: InCoordinator) -> QueueSnapshot:
    return coordinator.queue_monitor.now()


@_people.get("/api/queue/throughput", summary="What was done in each of the last hours")
def throughput(
    coordinator: InCoordinator, hours: Annotated[int, Query(ge=1, le=_MAX_HISTORY_HOURS)] = 24
) -> ThroughputOut:
    return ThroughputOut(buckets=coordinator.queue_monitor.throughput(hours))


@_people.get("/api/workers", summary="Who is at work, or was in the last day")
def workers(coordinator: InCoordinator) -> WorkerList:
    node_ids = coordinator.registry.snapshot().nodes
    found = coordinator.roster.members()
    return WorkerList(workers=[WorkerOut.of(worker, node_ids) for worker in found])


@_people.get("/metrics", summary="Numbers for Prometheus", response_class=PlainTextResponse)
def metrics(coordinator: InCoordinator) -> PlainTextResponse:
    return PlainTextResponse(coordinator.metrics.text(), media_type=CONTENT_TYPE_LATEST)


router.include_router(_people)
