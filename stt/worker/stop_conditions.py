"""When a worker stops by itself: pure logic over the findings of its threads and a clock."""

import logging
import time
from collections.abc import Callable
from math import inf

from stt.settings import Settings

logger = logging.getLogger(__name__)

POLL_SECONDS = 5.0
"""How often a worker that has nothing to do checks the queue, if nothing else is set."""


class StopConditions:
    """Collects what the threads of a worker find, and gives the reason to stop once there is one.

    Only one thread calls `reason`, again and again; any thread may call the rest.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        waits_for_chunks: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # A worker that stays ends by its limits alone.
        stays = waits_for_chunks or settings.persistent
        self._max_checks = inf if stays else settings.required_empty_checks
        self._check_seconds = POLL_SECONDS if stays else settings.empty_queue_wait_seconds
        self._idle_minutes = inf if stays else settings.idle_timeout_minutes
        self._max_minutes = inf if settings.max_minutes is None else settings.max_minutes
        self._clock = clock
        self._started = clock()
        self._checked_at: float | None = None
        self._idle_seconds = 0.0
        self._has_worked = False
        self._empty_checks = 0
        self._is_empty_logged = False
        self._limit_reached: int | None = None

    def found_empty(self) -> float:
        """Count a check that found nothing pending, and nothing in flight here.

        Returns the seconds until the next check.
        """
        self._empty_checks += 1
        seconds = self._check_seconds
        if self._max_checks == inf:
            if not self._is_empty_logged:  # once: chunks of a stream come one by one
                self._is_empty_logged = True
                logger.info("The queue is empty: waits for chunks, checks every %g s", seconds)
        elif self._empty_checks < self._max_checks:
            logger.info(
                "The queue is empty (%d of %d): checks again in %g s;"
                " --required-empty-checks 1 ends at once",
                self._empty_checks,
                self._max_checks,
                seconds,
            )
        return seconds

    def not_empty(self) -> None:
        """Count the checks anew: one found something, or got no answer."""
        self._empty_checks = 0

    def worked(self) -> None:
        """Note that a chunk was claimed or has ended: this worker is not idle."""
        self._has_worked = True

    def limit_reached(self, limit: int) -> None:
        """Note that every chunk that this run may end has ended."""
        self._limit_reached = limit

    def reason(self, *, is_busy: bool, is_hindered: bool) -> str | None:
        """Return why to stop now; None to go on.

        `is_busy`: work is in flight. `is_hindered`: the server or the database is waited for,
        which does not count as idle and has conditions of its own.
        """
        now = self._clock()
        if is_busy or self._has_worked:
            self._has_worked = False
            self._idle_seconds = 0.0
        elif not is_hindered and self._checked_at is not None:
            self._idle_seconds += now - self._checked_at
        self._checked_at = now
        if self._limit_reached is not None:
            return f"the limit of {self._limit_reached} chunks is reached (--limit)"
        if self._empty_checks >= self._max_checks:
            return f"the queue is empty ({self._empty_checks} of {self._max_checks} checks)"
        if self._idle_seconds >= self._idle_minutes * 60:
            return f"nothing to do for {self._idle_minutes:g} min (--idle-timeout-minutes)"
        if now - self._started >= self._max_minutes * 60:
            return f"the time limit of {self._max_minutes:g} min is reached (--max-minutes)"
        return None
