"""What the world does to a fleet: each kind of fault, how it is brought about, and how it ends."""

import itertools
import random
import signal
from collections.abc import Sequence

from tools.chaos_lab.clock import an_hour_off
from tools.chaos_lab.fault import Fault, Injector, black_hole, cut, delayed, trapped
from tools.chaos_lab.hand_tools import Cleanup, ShellReset
from tools.chaos_lab.lab import Lab
from tools.chaos_lab.processes import Server
from tools.chaos_lab.proxy import Proxy
from tools.chaos_lab.worker_slot import WorkerSlot

_QUEUE = b"audio_chunks"
# By words of the request: the answers that a worker can lose.
_CLAIM = (b"update\x00", b"failed_at\x00", b"claimed_at\x00")
_WRITES = (_CLAIM, (b"update\x00", b"transcript\x00"), (b"update\x00",))
_TOOL_SECONDS = 30.0
_COORDINATORS_SHARE = 0.6  # of the faults between the database and those who ask it
_MOOD_TIMES = {"key": 1, "dies": 1}
_NUMBERS = itertools.count(1)


def worker_killed(lab: Lab, rng: random.Random) -> Fault | None:
    return _signalled(_pick_holder(lab, rng), signal.SIGKILL)


def worker_told_to_go(lab: Lab, rng: random.Random) -> Fault | None:
    return _signalled(_pick_worker(lab, rng), signal.SIGTERM)


def worker_told_twice(lab: Lab, rng: random.Random) -> Fault | None:
    worker = _pick_worker(lab, rng)
    if worker is None:
        return None
    worker.signal(signal.SIGTERM)

    def again() -> int:
        was_there = worker.is_alive
        worker.signal(signal.SIGTERM)
        return int(was_there)

    return Fault(worker.actor, rng.uniform(0.1, 1.0), again)


def worker_paused(lab: Lab, rng: random.Random) -> Fault | None:
    worker = _pick_holder(lab, rng)
    if worker is None:
        return None
    worker.signal(signal.SIGSTOP)

    def go_on() -> int:
        worker.signal(signal.SIGCONT)
        return int(worker.is_alive)

    return Fault(worker.actor, lab.fleet.lease_seconds * rng.uniform(1.5, 3.0), go_on)


def clock_off(lab: Lab, rng: random.Random) -> Fault | None:
    """The next worker in a place has a clock that is an hour wrong."""
    worker = _pick_worker(lab, rng)
    if worker is None:
        return None
    worker.clock_offset = an_hour_off(rng)
    starts = worker.starts
    worker.signal(signal.SIGTERM)
    return Fault(
        f"worker-{worker.number}",
        3 * lab.fleet.chunk_timeout,
        lambda: int(worker.starts > starts),
        lambda: worker.starts > starts,
    )


def database_killed(lab: Lab, rng: random.Random) -> Fault | None:
    server = lab.database_server
    if not server.is_up:
        return None
    server.kill(rest_seconds=rng.uniform(0.2, 0.5 * lab.fleet.lease_seconds))
    return Fault(server.name, _TOOL_SECONDS, lambda: 1, lambda: server.is_up)


def database_killed_after_answer(lab: Lab, rng: random.Random) -> Fault | None:
    """In the moment in which a worker is told that its write is safe."""
    server = lab.database_server
    rest_seconds = rng.uniform(0.2, 0.5 * lab.fleet.lease_seconds)
    proxy = _pick_database_proxy(lab, rng)
    words = (_QUEUE, *rng.choice(_WRITES))
    return trapped(proxy, words, 1, then=lambda: server.kill(rest_seconds))


def database_cut(lab: Lab, rng: random.Random) -> Fault | None:
    return cut(_pick_database_proxy(lab, rng))


def database_delayed(lab: Lab, rng: random.Random) -> Fault | None:
    return delayed(_pick_database_proxy(lab, rng), rng)


def database_black_hole(lab: Lab, rng: random.Random) -> Fault | None:
    return black_hole(lab, _pick_database_proxy(lab, rng), rng)


def database_answer_lost(lab: Lab, rng: random.Random) -> Fault | None:
    proxy = _pick_database_proxy(lab, rng)
    return trapped(proxy, (_QUEUE, *rng.choice(_WRITES)), rng.choice((1, 1, 2, 4)))


def server_cut(lab: Lab, rng: random.Random) -> Fault | None:
    return cut(_pick_server_proxy(lab, rng))


def server_delayed(lab: Lab, rng: random.Random) -> Fault | None:
    return delayed(_pick_server_proxy(lab, rng), rng)


def server_black_hole(lab: Lab, rng: random.Random) -> Fault | None:
    return black_hole(lab, _pick_server_proxy(lab, rng), rng)


def server_answer_lost(lab: Lab, rng: random.Random) -> Fault | None:
    return trapped(_pick_server_proxy(lab, rng), (b"POST /v1/",), rng.choice((1, 1, 2)))


def server_moody(mood: str) -> Injector:
    """A stand-in that answers so for a while; as often as it takes if once is enough."""

    def inject(lab: Lab, rng: random.Random) -> Fault | None:
        stand_in = _pick_stand_in(lab, rng)
        if stand_in is None:
            return None
        log = lab.folders.calls_of(stand_in.name)
        size = log.stat().st_size if log.exists() else 0
        sign = f'"outcome": "{mood}"'.encode()

        def struck() -> int:
            with log.open("rb") as file:
                file.seek(size)
                return int(sign in file.read())

        def end() -> int:
            lab.turn(stand_in)
            stand_in.is_moody = False
            return struck()

        times = _MOOD_TIMES.get(mood)
        if not lab.turn(stand_in, mood, times):
            return None
        stand_in.is_moody = True
        longest = 3.0 if mood == "hang" else 1.5
        seconds = lab.fleet.lease_seconds * rng.uniform(0.5, longest)
        return Fault(stand_in.name, seconds, end, lambda: times is not None and bool(struck()))

    return inject


def cleanup_run(lab: Lab, rng: random.Random) -> Fault | None:
    """tools/cleanup.py by hand."""
    tool = Cleanup(lab, f"cleanup-{next(_NUMBERS)}", _threshold_seconds(lab, rng))
    return Fault(tool.actor, _TOOL_SECONDS, tool.end, tool.is_over)


def shell_reset(lab: Lab, rng: random.Random) -> Fault | None:
    """Run the Mongo shell guide's query that frees what is stuck."""
    tool = ShellReset(lab, f"shell-{next(_NUMBERS)}", _threshold_seconds(lab, rng))
    return Fault(tool.actor, _TOOL_SECONDS, tool.end, tool.is_over)


KINDS: dict[str, Injector] = {
    "worker killed": worker_killed,
    "worker paused past its lease": worker_paused,
    "worker told to stop": worker_told_to_go,
    "worker told to stop twice": worker_told_twice,
    "worker's clock an hour off": clock_off,
    "database killed": database_killed,
    "database killed as it answers": database_killed_after_answer,
    "database connections cut": database_cut,
    "database delayed": database_delayed,
    "database in a black hole": database_black_hole,
    "database answer lost": database_answer_lost,
    "server connections cut": server_cut,
    "server delayed": server_delayed,
    "server in a black hole": server_black_hole,
    "server answer lost": server_answer_lost,
    "server hangs": server_moody("hang"),
    "server answers 500": server_moody("500"),
    "server answers 503": server_moody("503"),
    "server answers half a JSON": server_moody("half"),
    "server answers HTML": server_moody("html"),
    "server refuses the key": server_moody("key"),
    "server dies in mid-answer": server_moody("dies"),
    "cleanup by tool": cleanup_run,
    "reset by shell": shell_reset,
}
"""Kinds by name, as the table shows them."""


def _threshold_seconds(lab: Lab, rng: random.Random) -> float:
    """One lease, or less than the time between two renewals: people are impatient.

    Then live workers lose claims in the middle of their work, and the fence alone protects.
    """
    return lab.fleet.lease_seconds * rng.choice((1.0, 0.2, 0.2))


def _signalled(worker: WorkerSlot | None, number: signal.Signals) -> Fault | None:
    if worker is None:
        return None
    worker.signal(number)
    return Fault(worker.actor, 0.0, lambda: 1)


def _pick_worker(
    lab: Lab, rng: random.Random, of: Sequence[WorkerSlot] | None = None
) -> WorkerSlot | None:
    at_work = [worker for worker in lab.workers if worker.is_at_work]
    # The others must be able to take over.
    wanted = [worker for worker in at_work if of is None or worker in of]
    return rng.choice(wanted) if len(at_work) > 1 and wanted else None


def _pick_holder(lab: Lab, rng: random.Random) -> WorkerSlot | None:
    """Choose a worker that holds chunks: the death of an idle one tests nothing."""
    at_work = [worker for worker in lab.holding() if worker.is_at_work]
    return rng.choice(at_work) if len(at_work) > 1 else None


def _pick_database_proxy(lab: Lab, rng: random.Random) -> Proxy | None:
    """Of a worker that reaches the database itself, or of a coordinator."""
    if lab.coordinators and rng.random() < _COORDINATORS_SHARE:
        return rng.choice(lab.coordinators).database
    worker = _pick_worker(lab, rng, of=lab.workers_at_database)
    return worker.queue if worker else None


def _pick_server_proxy(lab: Lab, rng: random.Random) -> Proxy | None:
    worker = _pick_worker(lab, rng)
    return rng.choice(worker.servers) if worker else None


def _pick_stand_in(lab: Lab, rng: random.Random) -> Server | None:
    free = [server for server in lab.stand_ins if server.is_up and not server.is_moody]
    return rng.choice(free) if free else None
