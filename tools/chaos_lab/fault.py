"""A fault, and those that any link of a fleet can have: cut, slow, swallowed, an answer lost."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from tools.chaos_lab.lab import Lab
from tools.chaos_lab.proxy import AnswerTrap, Proxy

_TRAP_SECONDS = 8.0


@dataclass(slots=True)
class Fault:
    """A fault that is on. `end` mends what it broke and says how often it struck."""

    target: str
    seconds: float
    end: Callable[[], int]
    is_over: Callable[[], bool] = lambda: False
    """True if it need not last its `seconds`."""


Injector = Callable[[Lab, random.Random], Fault | None]
"""None: not possible right now."""


def cut(proxy: Proxy | None) -> Fault | None:
    count = proxy.cut() if proxy else 0
    return Fault(proxy.name, 0.0, lambda: count) if proxy and count else None


def delayed(proxy: Proxy | None, rng: random.Random) -> Fault | None:
    if proxy is None or proxy.delay_seconds:
        return None
    before = proxy.delayed
    proxy.delay_seconds = rng.uniform(0.05, 0.5)

    def end() -> int:
        proxy.delay_seconds = 0.0
        return proxy.delayed - before

    return Fault(proxy.name, rng.uniform(1.0, 5.0), end)


def black_hole(lab: Lab, proxy: Proxy | None, rng: random.Random) -> Fault | None:
    if proxy is None or proxy.is_black_hole:
        return None
    before = proxy.swallowed
    proxy.is_black_hole = True

    def end() -> int:
        proxy.end_black_hole()
        return proxy.swallowed - before

    return Fault(proxy.name, lab.fleet.lease_seconds * rng.uniform(0.5, 1.5), end)


def trapped(
    proxy: Proxy | None,
    words: tuple[bytes, ...],
    times: int,
    then: Callable[[], None] | None = None,
) -> Fault | None:
    if proxy is None or proxy.trap is not None:
        return None
    trap = proxy.trap = AnswerTrap(words, times, then)

    def end() -> int:
        proxy.trap = None
        return trap.caught

    return Fault(f"{proxy.name}, {times}x", _TRAP_SECONDS, end, lambda: trap.caught == times)
