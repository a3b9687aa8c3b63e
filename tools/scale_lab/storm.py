"""Many workers that start at once on a real database, each a thread with a real planner."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import stt.store.claim_queries
from stt.domain.chunk import ChunkRun
from stt.domain.claim import ClaimRules, Order, Queue, WorkerReport
from stt.errors import DatabaseUnavailable
from stt.settings import load_settings
from stt.store.claims import MongoClaims
from stt.store.database import Database
from stt.store.workers import MongoRoster
from stt.worker.planner import Planner
from stt.worker.stop_conditions import StopConditions


@dataclass(slots=True)
class Storm:
    """What the workers of a start did until each held its first run; `seconds` is that moment.

    `idle` counts the workers that got none in time, `failed_calls` what the database did not do.
    """

    workers: int
    chunks: int = 0
    misses: int = 0
    pages: int = 0
    seconds: float = 0.0
    idle: int = 0
    failed_calls: int = 0


def storm(database: Database, workers: int, max_seconds: float) -> Storm:
    """Start as many workers at once, and let each claim one run.

    Those that have none after `max_seconds` give up; a call that then goes on is waited for.
    """
    found, lock = Storm(workers), threading.Lock()
    barrier = threading.Barrier(workers + 1)
    began = 0.0

    def work(number: int) -> None:
        worker = _Worker(database, number)
        barrier.wait()
        worker.run(began + max_seconds)
        with lock:
            found.chunks += worker.claimed
            found.misses += worker.misses
            found.failed_calls += worker.failed_calls
            found.idle += not worker.claimed

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(workers)]
    with _page_reads() as pages:
        for thread in threads:
            thread.start()
        began = time.monotonic()
        barrier.wait()
        for thread in threads:
            thread.join()
        found.seconds = time.monotonic() - began
    found.pages = len(pages)
    return found


class _Worker:
    def __init__(self, database: Database, number: int) -> None:
        self._id = f"bench_{number}"
        self._claims = MongoClaims(database, self._id, ClaimRules())
        self._claims.stop_retrying()
        self._roster = MongoRoster(database)
        queue, settings = Queue(self._claims, cast(Any, None), self._roster), load_settings()
        self._planner = Planner(queue, settings, Order(), None, StopConditions(settings))
        self.claimed = self.misses = self.failed_calls = 0

    def run(self, deadline: float) -> None:
        """Report, and claim runs until one chunk is claimed, or up to the deadline."""
        has_reported = False
        while not self.claimed and time.monotonic() < deadline:
            try:
                if not has_reported:
                    self._roster.report(self._id, WorkerReport(slots=1))
                    has_reported = True
                run = self._planner.next()
            except DatabaseUnavailable:
                self.failed_calls += 1
                continue
            if not isinstance(run, tuple):
                time.sleep(run)
                continue
            self._claim(run)

    def _claim(self, run: ChunkRun) -> None:
        """Claim the chunks of the run up to the first miss."""
        claimed = 0
        try:
            for chunk in run:
                if self._claims.claim(chunk) is None:
                    self.misses += 1
                    break
                claimed += 1
        except DatabaseUnavailable:
            self.failed_calls += 1
            self._planner.forget_page()
        self.claimed += claimed
        self._planner.claimed(run, missed=claimed < len(run))
        self._planner.ended(run, unspent=len(run) - claimed)


@contextmanager
def _page_reads() -> Iterator[list[None]]:
    """Yield a list that gets an entry for each page that is read; one of a place counts for two."""
    real, reads = stt.store.claim_queries.read_page, list[None]()

    def read_page(*arguments: Any, **named: Any) -> Any:
        reads.append(None)
        return real(*arguments, **named)

    setattr(stt.store.claim_queries, "read_page", read_page)  # noqa: B010
    try:
        yield reads
    finally:
        setattr(stt.store.claim_queries, "read_page", real)  # noqa: B010
