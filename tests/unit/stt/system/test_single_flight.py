"""One computation at a time for all callers, and how long its result is kept."""

import asyncio
import threading
import time

import pytest

from stt.errors import DatabaseUnavailable
from stt.system.single_flight import SingleFlight


def test_concurrent_callers_share_one_computation() -> None:
    computations: list[int] = []

    def compute() -> int:
        computations.append(1)
        time.sleep(0.1)
        return len(computations)

    shared = SingleFlight(compute)
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(shared.get())) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found, len(computations)) == ([1] * 20, 1)


def test_a_caller_that_does_not_wait_gets_the_previous_value() -> None:
    may_end = threading.Event()
    may_end.set()
    values = iter(range(10))

    def compute() -> int:
        may_end.wait(60)
        return next(values)

    shared = SingleFlight(compute)
    assert shared.get() == 0
    may_end.clear()
    shared.invalidate()
    assert shared.get(timeout_seconds=0.01) == 0
    may_end.set()
    assert shared.get(timeout_seconds=10) == 1


def test_what_changed_during_a_computation_is_computed_again() -> None:
    truth, found = ["old"], threading.Event()

    def compute() -> str:
        value = truth[0]
        found.set()
        time.sleep(0.05)
        return value

    shared = SingleFlight(compute)
    thread = threading.Thread(target=shared.get)
    thread.start()
    found.wait(60)
    truth[0] = "new"
    shared.invalidate()
    thread.join()
    assert shared.get() == "new"


def test_a_failure_is_raised_and_does_not_last() -> None:
    outcomes: list[Exception | str] = [DatabaseUnavailable("away"), "back"]

    def compute() -> str:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    shared = SingleFlight(compute, keep_seconds=0.01)
    with pytest.raises(DatabaseUnavailable, match="away"):
        shared.get()
    time.sleep(0.02)
    assert shared.get() == "back"


def test_it_rests_in_proportion_to_what_a_computation_took() -> None:
    computations: list[float] = []

    def compute() -> int:
        computations.append(time.monotonic())
        time.sleep(0.05)
        return len(computations)

    shared = SingleFlight(compute, keep_seconds=0.0, rest_factor=9.0)
    deadline = time.monotonic() + 0.7
    while time.monotonic() < deadline:
        shared.get()
        time.sleep(0.005)
    assert 1 <= len(computations) <= 2


def test_an_age_of_zero_sees_what_was_written_before_the_call() -> None:
    values = iter(range(10))
    shared = SingleFlight(lambda: next(values), keep_seconds=60)
    assert (shared.get(), shared.get()) == (0, 0)
    assert shared.get(max_age_seconds=0) == 1
    assert shared.get(max_age_seconds=60) == shared.get() == 1


def test_a_caller_during_a_computation_that_is_too_old_waits_for_another() -> None:
    has_begun, values = threading.Event(), iter(range(10))

    def compute() -> int:
        has_begun.set()
        time.sleep(0.1)
        return next(values)

    shared = SingleFlight(compute)
    thread = threading.Thread(target=shared.get)
    thread.start()
    has_begun.wait(60)
    assert shared.get(max_age_seconds=0) == 1
    thread.join()


def test_a_value_of_none_is_kept_like_any_other() -> None:
    values = iter([None, 1])
    shared = SingleFlight(lambda: next(values), keep_seconds=60)
    assert shared.get() is None
    assert shared.get() is None


def test_an_event_loop_waits_without_a_thread_and_only_for_so_long() -> None:
    may_end = threading.Event()
    shared = SingleFlight(lambda: may_end.wait(60))

    async def ask() -> bool:
        with pytest.raises(TimeoutError):
            await shared.get_async(0.01)
        may_end.set()
        return await shared.get_async(10)

    assert asyncio.run(ask()) is True
