"""Which chunks a worker tries next: sequences dealt from a page of the queue to its lanes."""

import random
import threading
import time
from collections import deque
from dataclasses import dataclass

from bson import ObjectId

from stt.chunk import Sequence, sequences
from stt.claim import Claims, Order, Page
from stt.fleet import Fleet

_MISSES_OF_A_STALE_PAGE = 3
_POLL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class PlanRules:
    """How a worker reads the queue; `limit` is the most chunks it ends, None for all."""

    order: Order
    limit: int | None
    watch: bool
    page_size: int
    sequence_seconds: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do right now; ask again after `seconds`."""

    seconds: float


class Planner:
    """Deals out sequences; shared by all lanes of a worker, so that they never meet.

    Workers meet on a chunk all the same, each with a page of its own: whoever misses jumps
    elsewhere in its page, and reads a new page after three misses in a row.
    """

    def __init__(self, claims: Claims, fleet: Fleet, rules: PlanRules) -> None:
        self._claims = claims
        self._fleet = fleet
        self._rules = rules
        self._budget = rules.limit
        self._page: deque[Sequence] = deque()
        self._dealt: set[ObjectId] = set()
        self._misses = 0
        self._empty_until = 0.0
        self._lock = threading.Lock()

    def next(self) -> Sequence | Wait | None:
        """The next sequence to claim; None when there is no work left for this worker."""
        with self._lock:
            if self._budget == 0:
                return None
            if not self._page:
                pause = self._read_page()
                if not self._page:
                    return pause
            sequence = self._page.popleft()
            if self._budget is not None:
                sequence = sequence[: self._budget]
                self._budget -= len(sequence)
            self._dealt.update(chunk.id for chunk in sequence)
            return sequence

    def claimed(self, sequence: Sequence, *, missed: bool) -> None:
        """The lane has asked for all of the sequence that it will; `missed` if it met another
        worker: then go on elsewhere in the page, or with a new one."""
        with self._lock:
            self._dealt.difference_update(chunk.id for chunk in sequence)
            self._misses = self._misses + 1 if missed else 0
            if self._misses >= _MISSES_OF_A_STALE_PAGE:
                self._page.clear()
                self._misses = 0
            elif missed and self._page:
                self._page.rotate(-random.randrange(len(self._page)))

    def give_back(self, count: int) -> None:
        """So many chunks that were dealt out were not ended: the limit has room for others."""
        with self._lock:
            if self._budget is not None:
                self._budget += count

    def _read_page(self) -> Wait | None:
        """Fills the page; else says how long to wait for one, if at all."""
        now = time.monotonic()
        if now < self._empty_until:  # another lane has just looked
            return Wait(self._empty_until - now)
        page = self._claims.page(self._rules.page_size, self._rules.order)
        # What another lane is about to claim still looks pending.
        chunks = [chunk for chunk in page.chunks if chunk.id not in self._dealt]
        self._page.extend(sequences(chunks, self._rules.sequence_seconds, self._share(page)))
        if self._page:
            return None
        waits = [] if page.next_due_seconds is None else [page.next_due_seconds]
        if self._rules.watch:
            waits.append(_POLL_SECONDS)
        if not waits:
            return None
        self._empty_until = now + min(min(waits) + 0.05, _POLL_SECONDS)
        return Wait(self._empty_until - now)

    def _share(self, page: Page) -> int:
        """The longest sequence that leaves the rest of the fleet its part of what is pending."""
        if not page.is_last:
            return len(page.chunks)
        return max(1, len(page.chunks) // self._fleet.slots_alive())
