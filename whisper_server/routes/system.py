"""The state and the metrics of the server; neither waits behind a transcription."""

import asyncio
import platform
import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import get_args

import psutil
from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field

from whisper_server import __version__, hardware
from whisper_server.hardware import Card
from whisper_server.model_service import Service
from whisper_server.presets import Shape
from whisper_server.scheduler_state import InstanceState
from whisper_server.schemas import FromAttributes, JobStatus, Rounded

_LIBRARIES = ("ctranslate2", "faster-whisper", "mlx", "mlx-whisper", "fastapi", "av", "numpy")


class LoadedModelOut(BaseModel):
    """`is_ready`: loaded once; the status of the copies is whether they are in memory now."""

    name: str
    backend: str
    device: str
    compute_type: str
    is_ready: bool


class QueueOut(FromAttributes):
    """The requests and what is left of them.

    `capacity` of them are transcribed at once, of which `in_work` are now; `waiting` are admitted
    beside them. `audio_seconds` of them and `windows` wait to be decoded.
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


def router(service: Service) -> APIRouter:
    routes = APIRouter(tags=["Health"])
    started = time.monotonic()
    service.metrics.watch(service.scheduler.state)
    versions = {"stt": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)

    @routes.get("/system", summary="Show the whole server")
    async def system() -> SystemOut:
        """Return the model and its copies, their queue, jobs, speed, memory, versions."""
        has_cards = service.plan.device == "cuda"
        cards = await asyncio.to_thread(hardware.cards) if has_cards else ()
        state = service.scheduler.state()
        counts = service.jobs.counts()
        return SystemOut(
            uptime_seconds=time.monotonic() - started,
            model=LoadedModelOut(
                name=service.model.name,
                backend=service.plan.backend,
                device=service.plan.device,
                compute_type=service.plan.compute_type,
                is_ready=service.ready,
            ),
            shape=service.plan.shape,
            instances=state.instances,
            queue=QueueOut.model_validate(state),
            jobs={status: counts[status] for status in get_args(JobStatus)},
            batch_fill=state.batch_fill,
            speed=state.speed,
            cores=hardware.usable_cores(),
            memory=MemoryOut(
                process_bytes=hardware.process_bytes(),
                machine_bytes=psutil.virtual_memory().total,
                cards=cards,
            ),
            versions=versions,
        )

    @routes.get(
        "/metrics",
        summary="Figures for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}, "description": "Prometheus' text form"}},
    )
    async def metrics() -> Response:
        """Return the counters and timings since the start."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return routes
