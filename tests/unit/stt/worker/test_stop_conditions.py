"""When a worker stops by itself, by a clock of the test."""

import logging
from typing import Any

import pytest

from stt.settings import load_settings
from stt.worker.stop_conditions import POLL_SECONDS, StopConditions


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def conditions_of(clock: Clock, **flags: Any) -> StopConditions:
    return StopConditions(load_settings(**flags), clock=clock)


def reason(
    conditions: StopConditions, *, is_busy: bool = False, is_hindered: bool = False
) -> str | None:
    return conditions.reason(is_busy=is_busy, is_hindered=is_hindered)


class TestEmptyQueue:
    def test_so_many_checks_in_a_row_end_it(self, clock: Clock) -> None:
        conditions = conditions_of(clock, required_empty_checks=3, empty_queue_wait_seconds=20)
        for _ in range(2):
            assert conditions.found_empty() == 20
            assert reason(conditions) is None
        conditions.found_empty()
        assert reason(conditions) == "the queue is empty (3 of 3 checks)"

    def test_a_check_that_found_something_makes_them_count_anew(self, clock: Clock) -> None:
        conditions = conditions_of(clock, required_empty_checks=2)
        conditions.found_empty()
        conditions.not_empty()
        conditions.found_empty()
        assert reason(conditions) is None

    def test_each_check_but_the_last_logs_when_the_next_one_is(
        self, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        conditions = conditions_of(clock, required_empty_checks=2, empty_queue_wait_seconds=60)
        with caplog.at_level(logging.INFO, "stt"):
            conditions.found_empty()
            conditions.found_empty()
        assert caplog.messages == [
            "The queue is empty (1 of 2): checks again in 60 s; --required-empty-checks 1 ends at"
            " once"
        ]

    def test_a_worker_that_stays_checks_again_soon_and_logs_it_once(
        self, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        conditions = conditions_of(clock, persistent=True)
        with caplog.at_level(logging.INFO, "stt"):
            assert {conditions.found_empty() for _ in range(9)} == {POLL_SECONDS}
        clock.now += 1e6
        assert reason(conditions) is None
        assert caplog.messages == ["The queue is empty: waits for chunks, checks every 5 s"]


class TestIdleness:
    @pytest.fixture
    def conditions(self, clock: Clock) -> StopConditions:
        conditions = conditions_of(clock, idle_timeout_minutes=1)
        clock.now += 500  # counting the queue, asking the servers
        assert reason(conditions) is None
        return conditions

    def test_nothing_to_do_for_so_long_ends_it(
        self, clock: Clock, conditions: StopConditions
    ) -> None:
        clock.now += 59
        assert reason(conditions) is None
        clock.now += 1
        assert reason(conditions) == "nothing to do for 1 min (--idle-timeout-minutes)"

    def test_work_in_flight_is_not_idle(self, clock: Clock, conditions: StopConditions) -> None:
        for _ in range(10):
            clock.now += 59
            assert reason(conditions, is_busy=True) is None
        clock.now += 59
        assert reason(conditions) is None

    def test_work_too_short_to_be_seen_counts_all_the_same(
        self, clock: Clock, conditions: StopConditions
    ) -> None:
        for _ in range(10):
            clock.now += 59
            conditions.worked()
            assert reason(conditions) is None

    def test_waiting_for_a_server_or_the_database_is_not_counted(
        self, clock: Clock, conditions: StopConditions
    ) -> None:
        clock.now += 30
        assert reason(conditions) is None
        clock.now += 5000
        assert reason(conditions, is_hindered=True) is None
        clock.now += 29
        assert reason(conditions) is None
        clock.now += 1
        assert reason(conditions) is not None


def test_the_time_limit_counts_from_the_start_and_whatever_is_in_flight(clock: Clock) -> None:
    conditions = conditions_of(clock, max_minutes=1.5)
    clock.now += 89
    assert reason(conditions, is_busy=True, is_hindered=True) is None
    clock.now += 1
    stopped = reason(conditions, is_busy=True, is_hindered=True)
    assert stopped == "the time limit of 1.5 min is reached (--max-minutes)"


def test_a_limit_that_is_reached_ends_it_at_once(clock: Clock) -> None:
    conditions = conditions_of(clock)
    conditions.limit_reached(5)
    assert reason(conditions) == "the limit of 5 chunks is reached (--limit)"
