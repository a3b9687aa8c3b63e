"""Waits and times of tests that hold on a busy machine, and are short on an idle one."""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

T = TypeVar("T")

_MAX_PACE = 6.0
_ROUNDS = 6
_COUNT = 400_000
_SLEEP_SECONDS = 0.005
_ROUND_SECONDS = 0.015
"""How long a round takes on an idle machine with a processor of 2020."""


@lru_cache(maxsize=1)
def pace() -> float:
    """Return how much slower this machine is than an idle one: 1 to 6, measured once a process."""
    began = time.monotonic()
    for _ in range(_ROUNDS):
        for _ in range(_COUNT):
            pass
        time.sleep(_SLEEP_SECONDS)
    measured = (time.monotonic() - began) / (_ROUNDS * _ROUND_SECONDS)
    return min(max(1.0, measured), _MAX_PACE)


def scaled(seconds: float) -> float:
    """Return a lease or a timeout of so many seconds for an idle machine, as this one needs it."""
    return round(seconds * pace(), 2)


def until(condition: Callable[[], T | None], seconds: float = 180) -> T:
    """Wait until the condition holds, and return its value; the limit only ends a hanging test."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
    return found
