"""The totals of all workers of one run, and what the run's limits leave to the next worker."""

import time
from collections import Counter
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
        self._limit = settings.limit
        self._max_minutes = settings.max_minutes
        self._started_at = time.monotonic()
        self._counts: Counter[str] = Counter()
        self.has_failures = False

    def add(self, stats: Stats) -> None:
        """Add the stats of a worker that has ended."""
        self._counts = Counter(self.counts(stats))
        self.has_failures = self.has_failures or stats.has_failures

    def counts(self, current: Stats | None = None) -> dict[str, int]:
        """Return how many chunks of this run ended in which way, `current` included."""
        total = Counter(self._counts)
        total.update(current.counts if current else {})
        return dict(total)

    def remaining(self) -> Remaining | None:
        """Return what the limits leave, None if nothing."""
        chunks, minutes = self._limit, self._max_minutes
        if chunks is not None:
            chunks -= sum(self._counts[outcome] for outcome in ("transcribed", "empty", "error"))
        if minutes is not None:
            minutes -= (time.monotonic() - self._started_at) / 60
        remaining = Remaining(chunks, minutes)
        return None if any(left is not None and left <= 0 for left in remaining) else remaining
