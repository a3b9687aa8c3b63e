"""Since when chunks have been reserved for nodes of a higher priority."""

import threading
import time
from collections.abc import Set

from bson import ObjectId

from stt.domain.claim import Page

_MAX_RESERVED_SECONDS = 30.0
_FORGET_SECONDS = 60.0
"""Longer than a node's pause between two requests for work."""


class Reservations:
    """What this process has kept from nodes of a lower priority. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Since when, and when renewed, on `time.monotonic()`.
        self._reserved: dict[ObjectId, tuple[float, float]] = {}

    def overdue(self, page: Page, count: int) -> Set[ObjectId]:
        """Reserve the page's first `count` chunks; return those that were reserved for too long."""
        now = time.monotonic()
        with self._lock:
            known = self._reserved.items()
            self._reserved = {id_: at for id_, at in known if now - at[1] < _FORGET_SECONDS}
            for chunk in page.chunks[:count]:
                since, _ = self._reserved.get(chunk.id, (now, now))
                self._reserved[chunk.id] = since, now
            known = self._reserved.items()
            return {id_ for id_, (since, _) in known if now - since >= _MAX_RESERVED_SECONDS}
