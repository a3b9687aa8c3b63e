"""When a worker stops by itself: pure logic over the findings of its threads and a clock."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from stt.settings import Settings

logger = logging.getLogger(__name__)

POLL_SECONDS = 5.0
"""How often a worker that has nothing to do checks the queue, if nothing else is set."""


@dataclass(frozen=True, slots=True)
class StopRules:
    """None switches a condition off.

    `empty_checks`: so many checks in a row, `empty_wait_seconds` apart, that find nothing pending.
    `idle_seconds`: nothing to claim and nothing in flight. `max_seconds`: since the start.
    """

    empty_checks: int | None = 2
    empty_wait_seconds: float = 60.0
    idle_seconds: float | None = 600.0
    max_seconds: float | None = None

    @classmethod
    def of(cls, settings: Settings, *, stays: bool) -> "StopRules":
        """Take the rules out of settings; a worker that `stays` waits for new chunks."""
        return cls(
            empty_checks=None if stays else settings.required_empty_checks,
            empty_wait_seconds=settings.empty_queue_wait_seconds,
            idle_seconds=None if stays else settings.idle_timeout_minutes * 60,
            max_seconds=None if settings.max_minutes is None else settings.max_minutes * 60,
        )


class StopConditions:
    """Collects what the threads of a worker find, and gives the reason to stop once there is one.

    Only one thread calls `reason`, again and again; any thread may call the rest.
    """

    def __init__(self, rules: StopRules, clock: Callable[[], float] = time.monotonic) -> None:
        self._rules = rules
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
        required = self._rules.empty_checks
        if required is None:
            if not self._is_empty_logged:  # once: chunks of a stream come one by one
                self._is_empty_logged = True
                logger.info("The queue is empty: waits for chunks, looks every %g s", POLL_SECONDS)
            return POLL_SECONDS
        self._empty_checks += 1
        wait = self._rules.empty_wait_seconds
        if self._empty_checks < required:
            logger.info(
                "The queue is empty (%d of %d): looks again in %g s;"
                " --required-empty-checks 1 ends at once",
                self._empty_checks,
                required,
                wait,
            )
        return wait

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
        rules = self._rules
        if self._limit_reached is not None:
            return f"the limit of {self._limit_reached} chunks is reached (--limit)"
        if rules.empty_checks is not None and self._empty_checks >= rules.empty_checks:
            return f"the queue is empty ({self._empty_checks} of {rules.empty_checks} looks)"
        if rules.idle_seconds is not None and self._idle_seconds >= rules.idle_seconds:
            minutes = rules.idle_seconds / 60
            return f"nothing to do for {minutes:g} min (--idle-timeout-minutes)"
        if rules.max_seconds is not None and now - self._started >= rules.max_seconds:
            minutes = rules.max_seconds / 60
            return f"the time limit of {minutes:g} min is reached (--max-minutes)"
        return None
