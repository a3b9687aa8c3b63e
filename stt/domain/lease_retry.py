"""Asking again while a claim can be trusted: what answers late has an answer all the same."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from stt.domain.claim import Claim
from stt.errors import DatabaseUnavailable

T = TypeVar("T")

_WAITS_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


def until_answered(
    attempt: Callable[[], T], claim: Claim, hurry: threading.Event | None = None
) -> T:
    """Calls `attempt()` until it does not raise DatabaseUnavailable, or `claim` cannot be trusted.

    Once if `hurry` is set.
    """
    hurry = hurry or threading.Event()
    repeats = 0
    while True:
        try:
            return attempt()
        except DatabaseUnavailable:
            wait = _WAITS_SECONDS[min(repeats, len(_WAITS_SECONDS) - 1)]
            if time.monotonic() + wait >= claim.trusted_until or hurry.wait(wait):
                raise
            repeats += 1
