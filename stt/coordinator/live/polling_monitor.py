"""What WebSockets share: one poll a second of the database for all, and tasks that end together."""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

from starlette.websockets import WebSocketDisconnect

from stt.errors import SttError

logger = logging.getLogger(__name__)


class PollingMonitor(ABC):
    """One poll a second for all subscribers. For one event loop."""

    interval_seconds = 1.0

    def __init__(self, outage_message: str) -> None:
        self._outage_message = outage_message
        self._subscribers = 0
        self._task: asyncio.Task[None] | None = None
        self._published = asyncio.Event()

    @abstractmethod
    async def _poll(self) -> None:
        """Read, and publish what has changed."""

    def _begin_outage(self) -> None:  # noqa: B027  not every monitor has something to do
        """Do what is due once when polls begin to fail."""

    @asynccontextmanager
    async def subscription(self) -> AsyncIterator[None]:
        """Poll while this is entered."""
        self._subscribers += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=type(self).__name__)
        try:
            yield
        finally:
            self._subscribers -= 1
            if not self._subscribers and self._task is not None:
                self._task.cancel()
                self._task = None

    async def wait(self, timeout_seconds: float | None = None) -> None:
        """Return at the next publication, or after so long."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._published.wait(), timeout_seconds)

    def _publish(self) -> None:
        self._published.set()
        self._published = asyncio.Event()

    async def _run(self) -> None:
        is_failing = False
        while True:
            began_at = time.monotonic()
            try:
                await self._poll()
            except Exception as error:  # the next poll may succeed
                if not isinstance(error, SttError):
                    logger.exception("%s", self._outage_message)
                elif not is_failing:
                    logger.warning("%s: %s", self._outage_message, error)
                if not is_failing:
                    self._begin_outage()
                is_failing = True
            else:
                is_failing = False
            await asyncio.sleep(max(0.0, self.interval_seconds - (time.monotonic() - began_at)))


async def run_until_one_ends(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run coroutines side by side, and cancel the others when one ends.

    Raises what one of them raises, except for WebSocketDisconnect.
    """
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in ended:
        if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
            raise outcome
