"""The state and the metrics of the server; neither waits behind a transcription."""

import asyncio
import platform
import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import get_args

import psutil
from fastapi import APIRouter, Response

from whisper_server import __version__, hardware
from whisper_server.metrics import CONTENT_TYPE
from whisper_server.schemas import JobStatus
from whisper_server.service import Service
from whisper_server.system_schemas import LoadedModelOut, MemoryOut, QueueOut, SystemOut

_LIBRARIES = ("ctranslate2", "faster-whisper", "mlx", "mlx-whisper", "fastapi", "av", "numpy")


def router(service: Service) -> APIRouter:
    routes = APIRouter(tags=["Health"])
    started = time.monotonic()
    service.metrics.watch(service.scheduler.state)
    versions = {"stt": __version__, "python": platform.python_version()} | _installed()

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
        """Return what was counted and timed since the start."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)

    return routes


def _installed() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
