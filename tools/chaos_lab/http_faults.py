"""What the world does to coordinators, and to the links between nodes and them."""

import random
import signal
import time

from tools.chaos_lab.clock import an_hour_off
from tools.chaos_lab.coordinators import Coordinator
from tools.chaos_lab.fault import Fault, Injector, black_hole, cut, delayed, trapped
from tools.chaos_lab.lab import Lab
from tools.chaos_lab.proxy import Proxy

# The requests whose answers a node can lose; those that come often, and all.
_OFTEN = (b"POST /tasks/claim", b"POST /tasks/complete", b"POST /tasks/renew")
_REQUESTS = (*_OFTEN, b"POST /tasks/complete", b"POST /tasks/release", b"GET /tasks/pending")
_STOP_SECONDS = 30.0
_LAST_ONE_SHARE = 0.1


def coordinator_killed(lab: Lab, rng: random.Random) -> Fault | None:
    coordinator = _pick(lab, rng)
    if coordinator is None:
        return None
    coordinator.server.kill(_rest_seconds(lab, rng))
    return Fault(coordinator.server.name, 0.0, lambda: 1)


def coordinator_killed_after_answer(lab: Lab, rng: random.Random) -> Fault | None:
    """In the moment in which a node is told that its write is safe."""
    proxy, words = _pick_link(lab, rng), (rng.choice(_OFTEN),)
    rest_seconds = _rest_seconds(lab, rng)
    if proxy is None:
        return None

    def kill() -> None:
        assert proxy.trap is not None
        for coordinator in lab.coordinators:
            if coordinator.server.port == proxy.trap.port:
                coordinator.server.kill(rest_seconds)

    return trapped(proxy, words, 1, then=kill)


def coordinator_told_to_go(lab: Lab, rng: random.Random) -> Fault | None:
    coordinator = _pick(lab, rng)
    if coordinator is None:
        return None
    server, starts = coordinator.server, coordinator.server.starts
    server.rest_seconds = _rest_seconds(lab, rng)
    server.signal(signal.SIGTERM)
    return Fault(
        server.name,
        _STOP_SECONDS,
        lambda: int(server.starts > starts),
        lambda: server.starts > starts,
    )


def coordinator_paused(lab: Lab, rng: random.Random) -> Fault | None:
    """It wakes up to requests that are long out of date, and does them."""
    coordinator = _pick(lab, rng)
    if coordinator is None:
        return None
    server, starts = coordinator.server, coordinator.server.starts
    server.signal(signal.SIGSTOP)

    def go_on() -> int:
        server.signal(signal.SIGCONT)
        return int(server.starts == starts)

    return Fault(server.name, lab.fleet.lease_seconds * rng.uniform(1.2, 2.5), go_on)


def coordinator_clock_off(lab: Lab, rng: random.Random) -> Fault | None:
    """Started again, it has a clock that is an hour wrong, until it is started once more."""
    coordinator = _pick(lab, rng)
    if coordinator is None:
        return None
    server, starts = coordinator.server, coordinator.server.starts
    server.clock_offset = an_hour_off(rng)
    server.kill(rest_seconds=0.1)
    at_work_since: list[float] = []

    def was_off_for_long() -> bool:
        if server.is_up and server.starts > starts and not at_work_since:
            at_work_since.append(time.monotonic())
        lasts = 2 * lab.fleet.lease_seconds
        return bool(at_work_since) and time.monotonic() > at_work_since[0] + lasts

    def end() -> int:
        server.clock_offset = None
        server.kill(rest_seconds=0.1)
        return len(at_work_since)

    return Fault(server.name, _STOP_SECONDS, end, was_off_for_long)


def link_cut(lab: Lab, rng: random.Random) -> Fault | None:
    return cut(_pick_link(lab, rng))


def link_delayed(lab: Lab, rng: random.Random) -> Fault | None:
    return delayed(_pick_link(lab, rng), rng)


def link_black_hole(lab: Lab, rng: random.Random) -> Fault | None:
    return black_hole(lab, _pick_link(lab, rng), rng)


def link_answer_lost(lab: Lab, rng: random.Random) -> Fault | None:
    words = (rng.choice(_REQUESTS),)
    return trapped(_pick_link(lab, rng), words, rng.choice((1, 1, 2, 4)))


KINDS: dict[str, Injector] = {
    "coordinator killed": coordinator_killed,
    "coordinator killed as it answers": coordinator_killed_after_answer,
    "coordinator told to stop": coordinator_told_to_go,
    "coordinator paused past the lease": coordinator_paused,
    "coordinator's clock an hour off": coordinator_clock_off,
    "coordinator connections cut": link_cut,
    "coordinator delayed": link_delayed,
    "coordinator in a black hole": link_black_hole,
    "coordinator answer lost": link_answer_lost,
}
"""Kinds by name, as the table shows them; all need nodes."""


def _rest_seconds(lab: Lab, rng: random.Random) -> float:
    return rng.uniform(0.1, 0.5 * lab.fleet.lease_seconds)


def _pick(lab: Lab, rng: random.Random) -> Coordinator | None:
    """Mostly one of several that are well, so that nodes find another; now and then the last."""
    well = [coordinator for coordinator in lab.coordinators if coordinator.is_well]
    least = 1 if rng.random() < _LAST_ONE_SHARE else 2
    return rng.choice(well) if len(well) >= least else None


def _pick_link(lab: Lab, rng: random.Random) -> Proxy | None:
    at_work = [node for node in lab.nodes if node.is_at_work]
    return rng.choice(at_work).queue if at_work else None
