"""Whether the process is alive and the model ready; neither waits behind a transcription."""

import secrets

from fastapi import APIRouter

from whisper_server import __version__
from whisper_server.model_service import Service
from whisper_server.schemas import HealthOut, ReadyOut


def router(service: Service) -> APIRouter:
    routes = APIRouter(tags=["Health"])
    instance = secrets.token_hex(8)

    @routes.get("/health", summary="Is the process alive?")
    async def health() -> HealthOut:
        """Return 200 while the process is alive; the model may still be loading."""
        return HealthOut(version=__version__)

    @routes.get("/ready", summary="Is the model loaded, and for how many calls?")
    async def ready() -> ReadyOut:
        """Return 200 once the model is loaded, else 503 with Retry-After.

        `capacity` calls at once keep it full; more are taken, and share its time. `instance`
        changes when the server is started anew: so a client whose call broke off knows whether the
        server died of it.
        """
        service.require_ready()
        state = service.scheduler.state()
        return ReadyOut(
            instance=instance,
            model=service.model.name,
            device=service.plan.device,
            compute_type=service.plan.compute_type,
            capacity=service.plan.useful_calls,
            in_flight=state.in_work,
            waiting=state.waiting,
        )

    return routes
