"""Admission and execution: a bounded line in front of a bounded number of worker threads."""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from whisper_server.engines.base import ShouldStop
from whisper_server.errors import ClientGone, EngineStopped, Unavailable

Result = TypeVar("Result")

LONGEST_RETRY_SECONDS = 60
SHARE_OF_NEWEST = 0.3
"""Weight of the newest run in the moving average that `Retry-After` rests on."""


class Scheduler:
    """Used from one event loop; only `_execute` runs in the worker threads."""

    def __init__(self, worker_count: int, max_waiting: int) -> None:
        self.capacity = worker_count
        self._most_admitted = worker_count + max_waiting
        self._pool = ThreadPoolExecutor(worker_count, thread_name_prefix="transcribe")
        self._lock = threading.Lock()
        self._admitted = 0
        self._running: set[threading.Event] = set()
        self._average_seconds = 1.0
        self._closing = asyncio.Event()
        self._cut_short = asyncio.Event()

    @property
    def in_flight(self) -> int:
        """Threads at work, also for a request whose client has left and that is winding down."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Admitted requests that are not in work yet: uploading, or in the line."""
        return max(0, self._admitted - self.in_flight)

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in the line, taken before the upload is read; raises `Unavailable`."""
        if self._closing.is_set():
            raise _shutting_down()
        if self._admitted >= self._most_admitted:
            raise Unavailable(
                f"{self._admitted} requests are in work or waiting: come back later.",
                self._retry_after_seconds(),
                code="queue_full",
            )
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1

    async def run(
        self, work: Callable[[ShouldStop], Result], gone: Coroutine[Any, Any, None]
    ) -> Result:
        """Run blocking `work` in a thread, in the order of asking.

        `gone` returns when the client hangs up: work that waits is then dropped, work that runs
        is asked to stop. Raises what `work` raises, `ClientGone` or `Unavailable`.
        """
        stop = threading.Event()
        try:
            future = self._pool.submit(self._execute, work, stop)
        except RuntimeError as error:  # the pool is shut down
            gone.close()
            raise _shutting_down() from error
        return await self._settle(future, stop, gone)

    async def _settle(
        self, future: Future[Result], stop: threading.Event, gone: Coroutine[Any, Any, None]
    ) -> Result:
        result = asyncio.wrap_future(future)
        watches: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(gone),
            asyncio.ensure_future(self._cut_short.wait()),
        ]
        try:
            await asyncio.wait([result, *watches], return_when=asyncio.FIRST_COMPLETED)
            if result.done():
                return result.result()
            if not self._cut_short.is_set():
                raise ClientGone("the client hung up")
            raise _shutting_down()
        except (EngineStopped, asyncio.CancelledError) as error:
            if self._closing.is_set():
                raise _shutting_down() from error
            raise
        finally:
            stop.set()
            future.cancel()
            result.cancel()
            for watch in watches:
                watch.cancel()

    def _execute(self, work: Callable[[ShouldStop], Result], stop: threading.Event) -> Result:
        if stop.is_set():
            raise EngineStopped("the client hung up while it waited")
        with self._lock:
            self._running.add(stop)
        started = time.monotonic()
        try:
            return work(stop.is_set)
        finally:
            taken = time.monotonic() - started
            with self._lock:
                self._running.discard(stop)
                self._average_seconds += SHARE_OF_NEWEST * (taken - self._average_seconds)

    async def close(self, grace_seconds: float) -> None:
        """Take nothing new, drop what waits, give what runs `grace_seconds`, then stop it."""
        self._closing.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + grace_seconds
        while self._running and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        self._cut_short.set()
        with self._lock:
            for stop in self._running:
                stop.set()

    def _retry_after_seconds(self) -> int:
        line = self._average_seconds * (self.waiting + 1) / self.capacity
        return min(LONGEST_RETRY_SECONDS, max(1, math.ceil(line)))


def _shutting_down() -> Unavailable:
    return Unavailable("The server is shutting down.", 5, code="shutting_down")
