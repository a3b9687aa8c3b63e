"""For how long chunks have been left to better nodes: one that does not take them has no use."""

import threading
import time
from collections.abc import Set
from dataclasses import dataclass

from bson import ObjectId

from stt.domain.claim import Page

_PATIENCE_SECONDS = 30.0
_FORGOTTEN_SECONDS = 60.0
"""Longer than a node's pause between two looks."""


@dataclass(slots=True)
class _Held:
    """On `time.monotonic()`."""

    since: float
    seen_at: float


class Reservations:
    """What this process has kept from nodes of a lower priority. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[ObjectId, _Held] = {}

    def overdue(self, page: Page, reserved: int) -> Set[ObjectId]:
        """Those of the first `reserved` chunks that have been left to others for long enough."""
        now = time.monotonic()
        with self._lock:
            known = self._held.items()
            self._held = {i: h for i, h in known if now - h.seen_at < _FORGOTTEN_SECONDS}
            for chunk in page.chunks[:reserved]:
                self._held.setdefault(chunk.id, _Held(now, now)).seen_at = now
            return {i for i, h in self._held.items() if now - h.since >= _PATIENCE_SECONDS}
