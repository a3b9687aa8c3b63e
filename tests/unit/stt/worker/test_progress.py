"""What is left of a run, counted while other workers and an ingest change the queue."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import pytest
from bson import ObjectId

from stt.domain.chunk import Chunk
from stt.domain.claim import Claim, Order, Pending
from stt.errors import DatabaseUnavailable
from stt.worker.arrivals import Arrivals
from stt.worker.progress import _USUAL_SPEED, ProgressCounter, RunView
from stt.worker.stats import Stats
from tests.support.pace import until


class Run:
    """A run of chunks of ten seconds, and the queue that it works on."""

    def __init__(self, pending: int, *, limit: int | None = None, stays: bool = False) -> None:
        self.pending, self.threads, self.is_dry = pending, 0, False
        self.error: Exception | None = None
        self.stats = Stats()
        self.held: list[Claim] = []
        self.call_seconds = 0.0
        queue: Any = Mock()
        queue.claims.pending = self._count
        queue.roster.workers_alive.return_value = 1
        view = RunView(
            self.stats, self._held, lambda: self.threads, lambda: self.is_dry, stays=stays,
            calls=lambda: [(self.held, self.call_seconds)] if self.call_seconds else [],
        )  # fmt: skip
        self.counter = ProgressCounter(queue, Order(), limit, view)

    def _held(self) -> Sequence[Claim]:
        return list(self.held)

    def _count(self, _order: Order) -> Pending:
        if self.error:
            raise self.error
        return Pending(self.pending, self.pending * 10.0)

    def claim(self, count: int) -> None:
        self.pending -= count
        chunks = [Chunk(ObjectId(), None, 0, duration=10.0) for _ in range(count)]
        self.held += [Claim(ObjectId(), chunk, "box_1", 0.0) for chunk in chunks]

    def finish(self, count: int) -> None:
        for _ in range(count):
            self.stats.succeeded(self.held.pop().chunk, "transcribed")

    def shown(self, *, is_ending: bool = False) -> tuple[Any, ...]:
        now = self.counter.progress(is_ending=is_ending, waits_for="")
        return now.done, now.total, now.done_seconds, now.total_seconds, now.elsewhere

    def expected(self, call_seconds: float) -> float:
        self.call_seconds = call_seconds
        return self.counter.progress(is_ending=False, waits_for="").expected_seconds


def test_the_total_is_there_while_all_of_it_is_in_flight() -> None:
    run = Run(10)
    assert run.shown() == (0, None, 0.0, None, 0)
    run.counter._count()
    run.claim(10)
    assert run.shown() == (0, 10, 0.0, 100.0, 0)
    run.is_dry = True
    run.finish(4)
    run.counter._count()
    assert run.shown() == (4, 10, 40.0, 100.0, 0)


def test_what_other_workers_take_counts_as_done_and_what_comes_new_as_left() -> None:
    run = Run(20)
    run.counter._count()
    run.claim(2)
    run.finish(1)
    run.pending -= 6
    run.counter._count()
    assert run.shown() == (7, 20, 70.0, 200.0, 6)
    run.pending += 10
    run.counter._count()
    assert run.shown() == (7, 30, 70.0, 300.0, 6)


def test_a_chunk_on_its_way_between_two_counts_has_not_gone_to_another_worker() -> None:
    run = Run(20)
    run.counter._count()
    run.threads = 3
    run.pending -= 3  # each thread has claimed one, and does not hold it yet
    run.counter._count()
    assert run.shown() == (0, 20, 0.0, 200.0, 0)


def test_a_chunk_that_waits_for_its_next_try_is_left_and_one_set_aside_is_done() -> None:
    run = Run(2)
    run.counter._count()
    run.claim(2)
    run.stats.failed(run.held.pop().chunk)
    run.pending += 1
    run.counter._count()
    assert run.shown()[:2] == (0, 2)
    run.stats.failed(run.held.pop().chunk, is_last_try=True)
    assert run.shown()[:2] == (1, 2)


def test_a_limit_is_the_total_of_its_run() -> None:
    run = Run(20, limit=5)
    run.counter._count()
    assert run.shown() == (0, 5, 0.0, 50.0, 0)


def test_a_run_that_ends_has_left_what_is_in_flight() -> None:
    run = Run(20)
    run.counter._count()
    run.claim(3)
    run.finish(1)
    assert run.shown(is_ending=True) == (1, 3, 10.0, 30.0, 0)


def test_a_run_that_stays_begins_anew_once_nothing_is_left() -> None:
    run = Run(3, stays=True)
    run.counter._count()
    run.claim(3)
    run.finish(3)
    run.counter._count()
    assert run.shown() == (0, 0, 0.0, 0.0, 0)
    run.pending = 4
    run.counter._count()
    run.claim(1)
    run.finish(1)
    assert run.shown() == (1, 4, 10.0, 40.0, 0)


def test_it_is_counted_once_and_again_only_while_somebody_looks(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stt.worker.progress._COUNT_SECONDS", 0.0)
    monkeypatch.setattr("stt.worker.progress._CHECK_SECONDS", 0.01)
    run = Run(3)
    with caplog.at_level(logging.INFO, "stt"):
        run.counter.start(60)
    assert caplog.messages == ["Total pending chunks: 3"]
    run.pending = 7
    time.sleep(0.1)
    assert run.counter.total == 3
    until(lambda: run.shown()[1] == 7)
    run.error = DatabaseUnavailable("away")
    assert run.shown()[1] == 7
    run.counter.stop()


def test_the_total_grows_with_what_is_read_and_says_so() -> None:
    run, arrivals = Run(2), Arrivals()
    run.counter._run = replace(run.counter._run, arrivals=arrivals)
    run.counter._count()
    run.claim(2)
    run.finish(1)
    run.pending += 3
    run.claim(3)
    assert run.shown()[:4] == (1, 5, 10.0, 50.0)  # before the next count
    run.pending += 5
    run.counter._count()
    assert run.shown()[:4] == (1, 10, 10.0, 100.0)
    assert run.counter.progress(is_ending=False, waits_for="").is_growing
    arrivals.end()
    assert not run.counter.progress(is_ending=False, waits_for="").is_growing


def test_a_call_in_flight_counts_what_it_has_probably_done_and_never_all_of_it() -> None:
    run = Run(12)
    run.counter._count()
    run.claim(12)
    assert run.expected(5.0) == 5.0 * _USUAL_SPEED
    shown = [run.expected(seconds) for seconds in (58.0, 120.0, 1200.0, 1e9)]
    assert 100 < shown[0] < shown[1] < shown[2] <= shown[3] < 120


def test_the_measured_speed_replaces_the_usual_one_and_what_was_shown_stays() -> None:
    run = Run(12)
    run.counter._count()
    run.claim(12)
    assert run.expected(20.0) == 40.0
    run.stats.answered([claim.chunk for claim in run.held[:6]], 60.0)
    assert run.expected(30.0) == 40.0  # not back to 30
    assert run.expected(50.0) == 50.0
    run.finish(12)
    assert run.expected(0.0) == 0.0


def test_calls_share_the_usual_speed_of_a_machine() -> None:
    run = Run(4)
    run.claim(4)
    calls = [([claim], 2.0) for claim in run.held]
    run.counter._run = replace(run.counter._run, calls=lambda: calls)
    progress = run.counter.progress(is_ending=False, waits_for="")
    assert progress.expected_seconds == 2.0 * _USUAL_SPEED
