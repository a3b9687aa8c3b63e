"""A fleet in simulated time: real planners, a queue in memory, and the latencies of a database."""

import heapq
import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import stt.worker.planner
from stt.domain.chunk import ChunkRun
from stt.domain.claim import Order, Queue
from stt.settings import load_settings
from stt.worker.planner import Planner
from stt.worker.stop_conditions import StopConditions
from tools.scale_lab.memory_queue import MemoryQueue, MemoryRoster


@dataclass(frozen=True, slots=True)
class Latencies:
    """Seconds that a worker waits for the database."""

    page: float = 0.05
    claim: float = 0.002
    completion: float = 0.003


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """The fleet and its queue. `start_seconds`: in which all workers start; `speed`: audio seconds
    that a call transcribes in one; `seconds`: how long the fleet works."""

    workers: int
    chunks: int
    slots: int = 1
    chunks_of_recording: int = 120
    start_seconds: float = 1.0
    speed: float = 20.0
    seconds: float = 60.0
    seed: int = 0


@dataclass(slots=True)
class Counts:
    """What was done up to a moment; `seconds` is that moment."""

    seconds: float = 0.0
    chunks: int = 0
    misses: int = 0
    pages: int = 0
    documents: int = 0
    furthest: int = 0

    @property
    def misses_per_chunk(self) -> float:
        return self.misses / max(1, self.chunks)


class _Worker:
    """One worker: its planner, and the calls that it may make."""

    def __init__(self, planner: Planner, slots: int) -> None:
        self.planner = planner
        self.free = slots
        self.is_busy = False


class Simulation:
    """`run` it once. While it runs, planners of this process read its clock."""

    def __init__(self, plan: FleetPlan, latencies: Latencies = Latencies()) -> None:
        self._plan = plan
        self._latencies = latencies
        self._random = random.Random(plan.seed)
        self._now = 0.0
        self._alive = 0
        self._busy = 0
        self._queue = MemoryQueue(plan.chunks, plan.chunks_of_recording)
        self._events: list[tuple[float, int, Iterator[float]]] = []
        self._numbers = itertools.count()
        self.counts = Counts()
        self.until_busy: Counts | None = None
        """The counts when every worker had made its first call; None if not all did."""

    def run(self, progress: Callable[[float, int], None] = lambda *_: None) -> None:
        """Run to the end; `progress` is called with the simulated time and the busy workers."""
        random.seed(self._plan.seed)
        shown = 0.0
        with _clock(lambda: self._now):
            for _ in range(self._plan.workers):
                begin = self._random.uniform(0, self._plan.start_seconds)
                self._later(begin, self._start_worker())
            while self._events and self._now < self._plan.seconds:
                self._now, _, task = heapq.heappop(self._events)
                self._step(task)
                if self._now - shown >= 1.0:
                    shown = self._now
                    progress(self._now, self._busy)
        self._note(self.counts)

    def _later(self, seconds: float, task: Iterator[float]) -> None:
        heapq.heappush(self._events, (self._now + seconds, next(self._numbers), task))

    def _step(self, task: Iterator[float]) -> None:
        """Continue a task up to its next wait; it yields seconds, or nothing more at its end."""
        seconds = next(task, None)
        if seconds is not None and seconds >= 0:
            self._later(seconds, task)

    def _start_worker(self) -> Iterator[float]:
        plan = self._plan
        self._alive += 1
        yield self._latencies.claim  # its first report
        roster = MemoryRoster(lambda: self._alive, plan.slots, lambda: self._now)
        settings = load_settings()
        queue = Queue(cast(Any, self._queue), cast(Any, None), cast(Any, roster))
        worker = _Worker(
            Planner(queue, settings, Order(), None, StopConditions(settings)), plan.slots
        )
        for _ in range(plan.slots + max(1, plan.slots // 2)):
            self._later(0.0, self._thread(worker))

    def _thread(self, worker: _Worker) -> Iterator[float]:
        """Be a thread of a worker: plan, claim, wait for a call's place, call, write."""
        while True:
            pages = self._queue.pages
            run = worker.planner.next()
            yield self._latencies.page * (self._queue.pages - pages)
            if not isinstance(run, tuple):
                yield run
                continue
            claimed = yield from self._claim(worker, run)
            if claimed:
                yield from self._call(worker, claimed)
            worker.planner.ended(run, unspent=len(run) - claimed)

    def _claim(self, worker: _Worker, run: ChunkRun) -> Any:
        """Return how many chunks of the run were claimed, up to the first miss."""
        claimed = 0
        for chunk in run:
            yield self._latencies.claim
            if not self._queue.claim(chunk):
                self.counts.misses += 1
                break
            claimed += 1
            self.counts.furthest = max(self.counts.furthest, int.from_bytes(chunk.id.binary))
        self.counts.chunks += claimed
        worker.planner.claimed(run, missed=claimed < len(run))
        return claimed

    def _call(self, worker: _Worker, chunks: int) -> Iterator[float]:
        while worker.free == 0:
            yield 0.2  # until another call of this worker ends
        worker.free -= 1
        self._note_busy(worker)
        seconds = chunks * 30 / self._plan.speed
        yield seconds * self._random.uniform(0.7, 1.3)
        worker.free += 1
        yield self._latencies.completion * chunks

    def _note_busy(self, worker: _Worker) -> None:
        if worker.is_busy:
            return
        worker.is_busy = True
        self._busy += 1
        if self._busy == self._plan.workers:
            self._note(self.counts)
            self.until_busy = Counts(
                **{name: getattr(self.counts, name) for name in Counts.__slots__}
            )

    def _note(self, counts: Counts) -> None:
        counts.seconds = self._now
        counts.pages, counts.documents = self._queue.pages, self._queue.documents


@contextmanager
def _clock(monotonic: Callable[[], float]) -> Iterator[None]:
    """Give planners this clock meanwhile."""
    real = getattr(stt.worker.planner, "time")  # noqa: B009
    setattr(stt.worker.planner, "time", SimpleNamespace(monotonic=monotonic))  # noqa: B010
    try:
        yield
    finally:
        setattr(stt.worker.planner, "time", real)  # noqa: B010
