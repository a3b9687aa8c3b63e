"""Compute when to retry a chunk that failed; retry calls of a database that does not answer."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from stt.domain.claim import Claim
from stt.errors import DatabaseUnavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_WAIT_SECONDS = 5.0
_GROWTH = 6.0
_MAX_WAIT_SECONDS = 600.0
_RETRY_WAITS_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


def backoff_seconds(attempts: int) -> float:
    """Return the wait after the `attempts`-th failure: 5 s, 30 s, 3 min, then 10 min."""
    return min(_FIRST_WAIT_SECONDS * _GROWTH ** min(attempts - 1, 10), _MAX_WAIT_SECONDS)


def next_try(attempts: int, max_attempts: int, now: datetime) -> datetime | None:
    """Return when to retry a chunk that failed `attempts` times; None if never."""
    if attempts >= max_attempts:
        return None
    return now + timedelta(seconds=backoff_seconds(attempts))


def retry_until_lease_expires(
    attempt: Callable[[], T], claim: Claim, stopped: threading.Event | None = None
) -> T:
    """Call `attempt` until it raises no DatabaseUnavailable.

    Raise it when `claim` can no longer be trusted, or when `stopped` is set.
    """
    stopped = stopped or threading.Event()
    tries = 0
    while True:
        try:
            return attempt()
        except DatabaseUnavailable as error:
            logger.debug("chunk %s, try %d: %s", claim.chunk.id, tries + 1, error)
            wait = _RETRY_WAITS_SECONDS[min(tries, len(_RETRY_WAITS_SECONDS) - 1)]
            if time.monotonic() + wait >= claim.trusted_until or stopped.wait(wait):
                raise
            tries += 1
