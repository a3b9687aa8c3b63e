"""Since when chunks have been reserved for nodes of a higher priority."""

import threading
import time
from collections.abc import Set
from dataclasses import dataclass

from bson import ObjectId

from stt.domain.claim import Page

_MAX_RESERVED_SECONDS = 30.0
_FORGET_SECONDS = 60.0
"""Longer than a node's pause between two requests for work."""


@dataclass(slots=True)
class _Reservation:
    """Times on `time.monotonic()`."""

    since: float
    renewed_at: float


class Reservations:
    """What this process has kept from nodes of a lower priority. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reserved: dict[ObjectId, _Reservation] = {}

    def overdue(self, page: Page, count: int) -> Set[ObjectId]:
        """Reserve the page's first `count` chunks; return those that were reserved for too long."""
        now = time.monotonic()
        with self._lock:
            self._reserved = {
                id_: reservation
                for id_, reservation in self._reserved.items()
                if now - reservation.renewed_at < _FORGET_SECONDS
            }
            for chunk in page.chunks[:count]:
                self._reserved.setdefault(chunk.id, _Reservation(now, now)).renewed_at = now
            return {
                id_
                for id_, reservation in self._reserved.items()
                if now - reservation.since >= _MAX_RESERVED_SECONDS
            }
