"""Whether this process and its database work: without a key, and never slow."""

from fastapi import APIRouter

from stt import __version__
from stt.coordinator.context import InCoordinator
from stt.coordinator.schemas.status import HealthOut
from stt.errors import SttError

router = APIRouter(tags=["system"])

_TIMEOUT_SECONDS = 2.0


@router.head("/health", include_in_schema=False)
@router.head("/api/system/health", include_in_schema=False)
@router.get("/health", summary="Is it alive, and is the database there?")
@router.get("/api/system/health", summary="The same")
async def health(coordinator: InCoordinator) -> HealthOut:
    is_up = True
    try:  # without a thread of the pool: those may all wait for a database that is away
        await coordinator.server_time.get_async(_TIMEOUT_SECONDS)
    except (SttError, TimeoutError):
        is_up = False
    return HealthOut(status="ok" if is_up else "degraded", database=is_up, version=__version__)
