"""What the workers of one run have done together, and what its limits leave."""

import pytest

from stt.node.run_totals import RunTotals
from stt.settings import Settings
from stt.worker.stats import Stats


def ended(**counts: int) -> Stats:
    stats = Stats()
    stats.counts.update(counts)
    return stats


def test_a_limit_holds_for_all_workers_of_a_run_together() -> None:
    totals = RunTotals(Settings(limit=5))
    totals.add(ended(transcribed=2, skipped=9))
    totals.add(ended(error=1))
    remaining = totals.remaining()
    assert remaining is not None
    assert (remaining.chunks, remaining.minutes) == (2, None)
    totals.add(ended(empty=2))
    assert totals.remaining() is None


def test_time_runs_through_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr("stt.node.run_totals.time.monotonic", lambda: now)
    totals = RunTotals(Settings(max_minutes=2))
    now += 90
    remaining = totals.remaining()
    assert remaining is not None
    assert remaining.minutes == pytest.approx(0.5)
    now += 30
    assert totals.remaining() is None


def test_the_worker_that_is_at_it_counts_and_is_not_counted_twice() -> None:
    totals, current = RunTotals(Settings()), ended(transcribed=3)
    assert totals.stats(current).counts["transcribed"] == 3
    totals.add(current)
    assert totals.stats().counts["transcribed"] == 3
    assert totals.remaining() is not None
