"""When a worker stops by itself: pure logic over what its threads tell, and a monotonic clock."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

logger = logging.getLogger(__name__)

POLL_SECONDS = 5.0
"""How often a worker that has nothing to do looks at the queue again, if nothing else says."""


@dataclass(frozen=True, slots=True)
class StopRules:
    """None switches a condition off.

    `empty_looks`: so many looks in a row, `empty_wait_seconds` apart, that find nothing pending.
    `idle_seconds`: nothing to claim and nothing in flight. `max_seconds`: since the start.
    """

    empty_looks: int | None = 2
    empty_wait_seconds: float = 60.0
    idle_seconds: float | None = 600.0
    max_seconds: float | None = None


class StopConditions:
    """Collects what the lanes of a worker find, and gives the reason to stop once there is one.

    `reason` belongs to one thread, which asks it often; the rest may be called by any.
    """

    def __init__(self, rules: StopRules, clock: Callable[[], float] = time.monotonic) -> None:
        self._rules = rules
        self._clock = clock
        self._started = clock()
        self._asked_at: float | None = None
        self._idle_seconds = 0.0
        self._has_worked = False
        self._empty_looks = 0
        self._has_said_empty = False
        self._limit_reached: int | None = None

    def found_empty(self) -> float:
        """A look found nothing pending, and nothing is in flight here; the seconds to the next."""
        wanted = self._rules.empty_looks
        if wanted is None:
            if not self._has_said_empty:  # once: chunks of a stream come one by one
                self._has_said_empty = True
                logger.info("The queue is empty: waits for chunks, looks every %g s", POLL_SECONDS)
            return POLL_SECONDS
        self._empty_looks += 1
        wait = self._rules.empty_wait_seconds
        if self._empty_looks < wanted:
            logger.info(
                "The queue is empty (%d of %d): looks again in %g s;"
                " --required-empty-checks 1 ends at once",
                self._empty_looks,
                wanted,
                wait,
            )
        return wait

    def not_empty(self) -> None:
        """A look found something, or found out nothing: looks are counted anew."""
        self._empty_looks = 0

    def worked(self) -> None:
        """A chunk was claimed, or has ended: this worker is not idle."""
        self._has_worked = True

    def limit_reached(self, limit: int) -> None:
        """Every chunk that this run may end has ended."""
        self._limit_reached = limit

    def reason(self, *, is_busy: bool, is_hindered: bool) -> str | None:
        """Why to stop now; None to go on.

        `is_busy`: work is in flight. `is_hindered`: the server or the database is waited for,
        which is no idleness and has conditions of its own.
        """
        now = self._clock()
        if is_busy or self._has_worked:
            self._has_worked = False
            self._idle_seconds = 0.0
        elif not is_hindered and self._asked_at is not None:
            self._idle_seconds += now - self._asked_at
        self._asked_at = now
        rules = self._rules
        if self._limit_reached is not None:
            return f"the limit of {self._limit_reached} chunks is reached (--limit)"
        if rules.empty_looks is not None and self._empty_looks >= rules.empty_looks:
            return f"the queue is empty ({self._empty_looks} of {rules.empty_looks} looks)"
        if rules.idle_seconds is not None and self._idle_seconds >= rules.idle_seconds:
            minutes = rules.idle_seconds / 60
            return f"nothing to do for {minutes:g} min (--idle-timeout-minutes)"
        if rules.max_seconds is not None and now - self._started >= rules.max_seconds:
            minutes = rules.max_seconds / 60
            return f"the time limit of {minutes:g} min is reached (--max-minutes)"
        return None
