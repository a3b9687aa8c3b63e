"""Whether this process and its database are well: open to everybody, and never slow."""

import asyncio
import time

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import APIRouter, Request

from stt import __version__
from stt.coordinator.schemas.status import HealthOut
from stt.errors import SttError
from stt.store.database import Database

router = APIRouter(tags=["system"])

_PATIENCE_SECONDS = 2.0
_CACHED_SECONDS = 1.0


class DatabaseMonitor:
    """Whether the database answers: one look for all who ask, however many strangers do."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._look: asyncio.Task[bool] | None = None
        self._ended_at = 0.0  # on time.monotonic()

    async def is_there(self) -> bool:
        """As of a second ago at most; False if it takes longer than two."""
        is_old = time.monotonic() - self._ended_at > _CACHED_SECONDS
        if self._look is None or (self._look.done() and is_old):
            self._look = asyncio.create_task(self._ask())
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await asyncio.shield(self._look)
        except TimeoutError:
            return False

    async def _ask(self) -> bool:
        """In a thread of its own: those of the pool may all wait for the database already."""
        try:
            await anyio.to_thread.run_sync(
                self._database.server_time, abandon_on_cancel=True, limiter=CapacityLimiter(1)
            )
        except SttError:
            return False
        finally:
            self._ended_at = time.monotonic()
        return True


@router.head("/health", include_in_schema=False)
@router.head("/api/system/health", include_in_schema=False)
@router.get("/health", summary="Is it alive, and is the database there?")
@router.get("/api/system/health", summary="The same")
async def health(request: Request) -> HealthOut:
    look: DatabaseMonitor = request.app.state.database_look
    is_there = await look.is_there()
    return HealthOut(
        status="ok" if is_there else "degraded", database=is_there, version=__version__
    )
