"""A value that takes a while to compute: one computation at a time for all callers."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

from stt.errors import DatabaseUnavailable, SttError

logger = logging.getLogger(__name__)

T = TypeVar("T")

_KEEP_FAILURE_SECONDS = 1.0
_FIRST_TIMEOUT_SECONDS = 30.0


class _Flight(Generic[T]):
    """One computation; times are on `time.monotonic()`, and `due_at` is set at its end."""

    def __init__(self) -> None:
        self.began_at = time.monotonic()
        self.due_at = 0.0
        self.future: Future[T] = Future()


class SingleFlight(Generic[T]):
    """Computes a value when it is asked for, and shares it, or the failure, between all callers.

    It is kept for `keep_seconds`, or for `rest_factor` times as long as the computation took if
    that is longer: so computing takes at most one part in `rest_factor + 1` of the time. A failure
    is kept for a second at most. Computations never overlap. Safe between threads.
    """

    def __init__(
        self, compute: Callable[[], T], *, keep_seconds: float = 1.0, rest_factor: float = 0.0
    ) -> None:
        self._compute = compute
        self._keep_seconds = keep_seconds
        self._rest_factor = rest_factor
        self._lock = threading.Lock()
        self._valid_since = float("-inf")
        self._latest: _Flight[T] | None = None
        self._previous: _Flight[T] | None = None

    def get(
        self, *, max_age_seconds: float | None = None, timeout_seconds: float | None = None
    ) -> T:
        """Return the value, or raise what its computation raised.

        `max_age_seconds`: in place of the time for which it is kept, how long before this call
        the computation may have begun. `timeout_seconds`: return the previous result if a new one
        takes longer; the first one is awaited for 30 seconds, then DatabaseUnavailable is raised.
        """
        oldest = self._valid_since
        if max_age_seconds is not None:
            oldest = max(oldest, time.monotonic() - max_age_seconds)
        while True:
            flight, previous = self._flight(oldest, is_age_given=max_age_seconds is not None)
            timeout = timeout_seconds
            if timeout is not None and previous is None:
                timeout = max(timeout, _FIRST_TIMEOUT_SECONDS)
            if not wait([flight.future], timeout).done:
                if previous is None:
                    raise DatabaseUnavailable("The database takes long: ask again in a while.")
                return previous.future.result()
            if flight.began_at >= oldest:
                return flight.future.result()

    async def get_async(self, timeout_seconds: float) -> T:
        """Return the value without a thread that waits for it. Raises TimeoutError."""
        flight, _ = self._flight(self._valid_since, is_age_given=False)
        async with asyncio.timeout(timeout_seconds):
            return await asyncio.shield(asyncio.wrap_future(flight.future))

    def invalidate(self) -> None:
        """Compute anew for all who ask from now on."""
        self._valid_since = time.monotonic()

    def _flight(self, oldest: float, *, is_age_given: bool) -> tuple[_Flight[T], _Flight[T] | None]:
        """Return the running or kept computation, else a new one; and the one before it."""
        with self._lock:
            latest = self._latest
            if latest is not None and latest.future.done():
                is_kept = is_age_given or time.monotonic() < latest.due_at
                if not is_kept or latest.began_at < oldest:
                    if latest.future.exception() is None:
                        self._previous = latest
                    latest = None
            if latest is None:
                latest = _Flight()
                # A daemon: callers may give up waiting, and the process's end waits for none.
                threading.Thread(
                    target=self._run, args=(latest,), name="single flight", daemon=True
                ).start()
                self._latest = latest
            return latest, self._previous

    def _run(self, flight: _Flight[T]) -> None:
        try:
            value = self._compute()
        except Exception as error:
            if not isinstance(error, SttError):
                logger.exception("a value shared by callers could not be computed")
            flight.due_at = time.monotonic() + min(self._keep_seconds, _KEEP_FAILURE_SECONDS)
            flight.future.set_exception(error)
        else:
            ended_at = time.monotonic()
            rest_seconds = self._rest_factor * (ended_at - flight.began_at)
            flight.due_at = ended_at + max(self._keep_seconds, rest_seconds)
            flight.future.set_result(value)
