"""When a chunk that failed is tried again, if at all: pure arithmetic."""

from datetime import datetime, timedelta

_FIRST_WAIT_SECONDS = 5.0
_GROWTH = 6.0
_LONGEST_WAIT_SECONDS = 600.0


def backoff_seconds(attempts: int) -> float:
    """How long a chunk rests after its `attempts`-th failure: 5 s, 30 s, 3 min, then 10 min."""
    return min(_FIRST_WAIT_SECONDS * _GROWTH ** min(attempts - 1, 10), _LONGEST_WAIT_SECONDS)


def next_try(attempts: int, max_attempts: int, now: datetime) -> datetime | None:
    """The earliest next try of a chunk that failed `attempts` times; None means quarantine."""
    if attempts >= max_attempts:
        return None
    return now + timedelta(seconds=backoff_seconds(attempts))
