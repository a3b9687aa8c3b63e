"""What the workers of one run have done together, and what its limits leave to the next one."""

import time
from collections import Counter
from dataclasses import dataclass

from stt.settings import Settings
from stt.worker.stats import Stats


@dataclass(frozen=True, slots=True)
class Rest:
    """None where there is no limit."""

    chunks: int | None
    minutes: float | None


class RunTotals:
    """Begins when it is made. One thread adds to it, any may read it."""

    def __init__(self, settings: Settings) -> None:
        self._limit = settings.limit
        self._max_minutes = settings.max_minutes
        self._began = time.monotonic()
        self._counts: Counter[str] = Counter()
        self.has_failures = False

    def add(self, stats: Stats) -> None:
        """A worker has ended."""
        self._counts = Counter(self.counts(stats))
        self.has_failures = self.has_failures or stats.has_failures

    def counts(self, current: Stats | None = None) -> dict[str, int]:
        """How the chunks of this run have ended, with those of the worker that is at it."""
        total = Counter(self._counts)
        total.update(current.counts if current else {})
        return dict(total)

    def rest(self) -> Rest | None:
        """None if nothing is left."""
        limit, minutes = self._limit, self._max_minutes
        if limit is not None:
            limit -= sum(self._counts[ending] for ending in ("transcribed", "empty", "error"))
        if minutes is not None:
            minutes -= (time.monotonic() - self._began) / 60
        is_over = (limit is not None and limit <= 0) or (minutes is not None and minutes <= 0)
        return None if is_over else Rest(limit, minutes)
