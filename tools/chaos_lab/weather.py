"""The seeded order in which faults strike a fleet.

A fault counts only if it struck: a trap that caught no answer, or a mood that no call met, comes
round again later.
"""

import random
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from tools.chaos_lab import faults, http_faults
from tools.chaos_lab.fault import Fault
from tools.chaos_lab.lab import Lab

KINDS = {**faults.KINDS, **http_faults.KINDS}
"""Every kind of fault by its name."""

_OPENING = "worker paused past its lease"
_MOMENT_SECONDS = 1.0
_MOST_LATE = 3
"""Faults that were not possible when they were due follow each other at once, up to so many."""


@dataclass
class Weather:
    """Injects faults of `kinds`, one every so often, in rounds that have an order of their own.

    First a worker is paused while all others are well, so that it wakes up to a chunk which is
    another's: a run must not end without having seen the fence.
    """

    lab: Lab
    rng: random.Random
    kinds: Sequence[str]
    every_seconds: float
    struck: Counter[str] = field(default_factory=Counter)
    _due: deque[str] = field(default_factory=deque)
    _active: list[tuple[str, float, Fault]] = field(default_factory=list)
    _next_at: float = 0.0
    _is_opening: bool = False

    def __post_init__(self) -> None:
        self._is_opening = _OPENING in self.kinds

    def tick(self) -> None:
        """Ends what is over, and lets the next fault happen if it is time."""
        now = time.monotonic()
        for entry in list(self._active):
            _, since, active = entry
            if now >= since + active.seconds or active.is_over():
                self._end(entry)
        if not self.kinds or now < self._next_at:
            return
        fault = self._inject()
        if fault is None:
            return
        # From when it was due, not from now: what came late must not make fewer of them.
        due_at = max(self._next_at, now - _MOST_LATE * self.every_seconds)
        self._next_at = due_at + self.every_seconds * self.rng.uniform(0.7, 1.3)
        if self._is_opening:
            self._is_opening = False
            self._next_at = now + fault.seconds + _MOMENT_SECONDS

    def clear_up(self) -> None:
        """Mends everything."""
        for entry in list(self._active):
            self._end(entry)

    def _inject(self) -> Fault | None:
        """None if none of those that are due is possible right now."""
        if not self._due:
            self._due.extend([_OPENING] if self._is_opening else self._round())
        for _ in range(len(self._due)):
            kind = self._due.popleft()
            fault = KINDS[kind](self.lab, self.rng)
            if fault is not None:
                self.lab.faults_log.write(kind=kind, target=fault.target, phase="begins")
                self._active.append((kind, time.monotonic(), fault))
                return fault
            self._due.append(kind)
        return None

    def _round(self) -> list[str]:
        return self.rng.sample(self.kinds, len(self.kinds))

    def _end(self, entry: tuple[str, float, Fault]) -> None:
        kind, since, fault = entry
        self._active.remove(entry)
        struck = fault.end()
        self.struck[kind] += min(struck, 1)
        self.lab.faults_log.write(
            kind=kind, target=fault.target, phase="ended", since=since, struck=struck
        )
        if not struck:
            self._due.append(kind)
