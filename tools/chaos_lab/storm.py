"""One chaos run: the fleet works while faults strike; then all is mended, the rest gets done."""

import random
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tools.chaos_lab import checker, history, http_history
from tools.chaos_lab.evidence import Breach, Report, Run
from tools.chaos_lab.faults import KINDS
from tools.chaos_lab.fleet import Fleet, Progress, progress_of
from tools.chaos_lab.lab import MAX_EXPIRATIONS, Lab
from tools.chaos_lab.weather import Weather

_TICK_SECONDS = 0.05
_START_SECONDS = 30.0
_TEND_SECONDS = 0.7
_SHOW_SECONDS = 3.0
_GOODBYE_SECONDS = 30.0
# Chunks come in until shortly before the end, so that every fault finds work going on.
_CALM_SHARE = 0.3
_FIRST_SHARE = 0.1
_FED_SHARE = 0.9


@dataclass(frozen=True)
class Plan:
    """How long, how often, what."""

    seconds: float = 60.0
    seed: int = 0
    every_seconds: float = 0.9
    kinds: tuple[str, ...] = tuple(KINDS)
    calm_seconds: float = 90.0
    """The time that the rest may take when all is mended; more after a long storm."""
    fleet: Fleet = field(default_factory=Fleet)

    @property
    def longest_seconds(self) -> float:
        return self.seconds + self.calm_seconds + self.seconds * _CALM_SHARE


@dataclass(frozen=True)
class Result:
    """What came out of a run: faults that struck by kind, and the checker's report."""

    plan: Plan
    faults: Mapping[str, int]
    report: Report
    progress: Progress
    seconds: float


def run(plan: Plan, folder: Path, *, quiet: bool = False) -> Result:
    """Raises RuntimeError if the fleet cannot be brought up. Leaves all logs in `folder`."""
    began = time.monotonic()
    rng = random.Random(plan.seed)
    lab = Lab(folder, plan.fleet, rng)
    with lab.running():
        storm = _Storm(lab, plan, rng, quiet=quiet)
        storm.run()
        unheeded = lab.finish_workers(_GOODBYE_SECONDS)
        unheeded += [] if lab.namer.finish() else ["namer"]
        evidence = _evidence(lab)
    report = checker.check(evidence)
    late = [Breach("ends", None, f"{actor} did not end when it was told to") for actor in unheeded]
    return Result(
        plan,
        {kind: storm.weather.struck[kind] for kind in plan.kinds},
        Report((*report.breaches, *late), report.summary),
        progress_of(evidence.documents, len(evidence.chunks)),
        time.monotonic() - began,
    )


class _Storm:
    def __init__(self, lab: Lab, plan: Plan, rng: random.Random, *, quiet: bool) -> None:
        self.weather = Weather(lab, rng, plan.kinds, plan.every_seconds)
        self.progress = Progress(0, 0, 0, 0)
        self._lab = lab
        self._plan = plan
        self._quiet = quiet
        self._began = time.monotonic()
        self._over = threading.Event()
        self._failure: Exception | None = None

    def run(self) -> None:
        """The storm itself, and then the calm, until nothing is open any more or time is up."""
        tender = threading.Thread(target=self._tend_or_fail, name="tender")
        tender.start()
        try:
            while not self._lab.is_at_work and self._passed < _START_SECONDS:
                self._rest()
            self._began = time.monotonic()
            while self._passed < self._plan.seconds:
                self.weather.tick()
                self._rest()
            self.weather.clear_up()
            while self._passed < self._plan.longest_seconds and not self._is_done():
                self._lab.hurry_up()  # again and again, since some die of what is left
                self._rest()
        finally:
            self._over.set()
            tender.join()

    @property
    def _passed(self) -> float:
        return time.monotonic() - self._began

    def _is_done(self) -> bool:
        return self.progress.added == self._plan.fleet.chunks and self.progress.open == 0

    def _rest(self) -> None:
        if self._failure is not None:
            raise self._failure
        time.sleep(_TICK_SECONDS)
        self._lab.revive_workers()

    def _tend_or_fail(self) -> None:
        try:
            self._tend()
        except Exception as error:  # for the main thread, which would wait for nothing
            self._failure = error

    def _tend(self) -> None:
        """In a thread, since a database that is slow or away must not hold up the weather."""
        next_show = 0.0
        while not self._over.wait(_TEND_SECONDS):
            if not self._lab.database_server.is_up:
                continue
            share = min(1.0, _FIRST_SHARE + self._passed / self._plan.seconds / _FED_SHARE)
            self._lab.add_chunks(round(self._plan.fleet.chunks * share))
            self._lab.end_rests()
            self.progress = self._lab.progress() or self.progress
            if self._passed >= next_show:
                next_show = self._passed + _SHOW_SECONDS
                self._show()

    def _show(self) -> None:
        if self._quiet:
            return
        at = self.progress
        struck = sum(self.weather.struck.values())
        line = (
            f"{time.monotonic() - self._began:5.0f} s  {at.added} chunks: {at.transcribed}"
            f" transcribed, {at.failed} failed, {at.in_work} in work; {struck} faults"
        )
        if sys.stdout.isatty():
            print(f"\r{line}\x1b[K", end="", flush=True)
        else:
            print(line, flush=True)


def _evidence(lab: Lab) -> Run:
    documents = lab.documents(lab.database.chunks)
    return Run(
        history=history.load(lab.folders.history),
        documents=documents,
        calls=lab.folders.read_calls(),
        chunks=lab.facts_of(documents),
        ends=[end for worker in lab.workers for end in worker.ends],
        lease_seconds=lab.fleet.lease_seconds,
        max_attempts=lab.fleet.max_attempts,
        max_expirations=MAX_EXPIRATIONS,
        chunk_timeout_seconds=lab.fleet.chunk_timeout,
        real_servers=lab.real_urls,
        nodes=http_history.load(lab.folders.node_history),
        speakers=lab.documents(lab.database.speakers),
        names=list(history.read_events(lab.folders.names)),
    )
