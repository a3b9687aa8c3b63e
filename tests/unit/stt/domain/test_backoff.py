"""When a chunk that failed is tried again."""

from datetime import UTC, datetime

from stt.domain.backoff import backoff_seconds, next_try

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_rests_grow_and_end_at_ten_minutes() -> None:
    rests = [backoff_seconds(attempts) for attempts in range(1, 8)]
    assert rests == sorted(rests)
    assert rests[0] == 5
    assert rests[-1] == 600
    assert backoff_seconds(10**6) == 600


def test_the_last_attempt_means_quarantine() -> None:
    assert next_try(3, 3, NOW) is None
    assert next_try(4, 3, NOW) is None


def test_an_earlier_attempt_means_a_rest() -> None:
    due = next_try(1, 3, NOW)
    assert due is not None
    assert (due - NOW).total_seconds() == backoff_seconds(1)
