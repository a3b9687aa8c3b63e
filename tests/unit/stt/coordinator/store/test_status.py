"""The hours that throughput is shown in."""

from datetime import UTC, datetime

from stt.coordinator.store.status import hours_until


def test_hours_are_those_of_the_clock_and_end_with_the_present_one() -> None:
    now = datetime(2026, 3, 1, 1, 59, 59, tzinfo=UTC)
    assert hours_until(now, 3) == [
        datetime(2026, 2, 28, 23, tzinfo=UTC),
        datetime(2026, 3, 1, 0, tzinfo=UTC),
        datetime(2026, 3, 1, 1, tzinfo=UTC),
    ]
