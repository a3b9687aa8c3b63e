"""The totals of all workers of one run, and what the run's limits leave to the next worker."""

import time
from typing import NamedTuple

from stt.settings import Settings
from stt.worker.stats import Stats


class Remaining(NamedTuple):
    """None where there is no limit."""

    chunks: int | None
    minutes: float | None


class RunTotals:
    """A run's totals; its time starts when this is made. One thread adds, any thread reads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._started_at = time.monotonic()
        self._ended = Stats()

    def add(self, stats: Stats) -> None:
        """Add the stats of a worker that has ended."""
        self._ended = self._ended.plus(stats)

    def stats(self, current: Stats | None = None) -> Stats:
        """Return the stats of this run, those of its present worker included."""
        return self._ended.plus(current) if current else self._ended

    def remaining(self) -> Remaining | None:
        """Return what the limits leave, None if nothing."""
        chunks, minutes = self._settings.limit, self._settings.max_minutes
        if chunks is not None:
            chunks -= self._ended.done
        if minutes is not None:
            minutes -= (time.monotonic() - self._started_at) / 60
        remaining = Remaining(chunks, minutes)
        return None if any(left is not None and left <= 0 for left in remaining) else remaining
