"""Which chunks a worker tries next: runs dealt from a page of the queue to its threads."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from bson import ObjectId

from stt.domain.chunk import RUNS_PER_SLOT, ChunkRun, chunk_runs, rotated
from stt.domain.claim import Order, Page, Queue
from stt.errors import DatabaseUnavailable
from stt.settings import Settings
from stt.worker.stop_conditions import POLL_SECONDS, StopConditions

_MISSES_OF_A_STALE_PAGE = 3


class Planner:
    """Deals out runs of chunks. All threads of a worker share one, so that they never collide.

    Workers may collide, each with a page of its own: so of several each begins elsewhere in its
    page, goes on elsewhere after a miss, and after three in a row reads a new one; chunks of a
    higher priority come first all the same. Each run that was dealt is reported
    twice: by `claimed`, then by `ended`. `limit` is the most chunks that end, None for all.
    """

    def __init__(
        self,
        queue: Queue,
        settings: Settings,
        order: Order,
        limit: int | None,
        conditions: StopConditions,
        read_page: Callable[[int, Order], Page] | None = None,
    ) -> None:
        self._queue = queue
        self._read_chunks = read_page or (lambda size, wanted: queue.claims.page(size, wanted))
        self._settings = settings
        self._order = order
        self._limit = limit
        self._conditions = conditions
        self.is_dry = False
        """True if the last page had nothing pending that is not in work here."""
        self._budget = limit
        self._page: deque[ChunkRun] = deque()
        self._dealt: set[ObjectId] = set()
        self._excluded: set[ObjectId] = set()
        self._in_work = 0  # runs
        self._misses = 0
        self._wait_until = 0.0
        self._lock = threading.Lock()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is pending, nor in work here."""
        with self._lock:
            return self.is_dry and not self._in_work

    def next(self) -> ChunkRun | float:
        """Return the next run to claim, or the seconds to wait. Raises DatabaseUnavailable."""
        with self._lock:
            if self._budget == 0:
                if self._in_work == 0:
                    self._conditions.limit_reached(self._limit or 0)
                return POLL_SECONDS
            if not self._page and (pause := self._read_page()) is not None:
                return pause
            run = self._page.popleft()
            if self._budget is not None:
                run = run[: self._budget]
                self._budget -= len(run)
            self._in_work += 1
            self._dealt.update(chunk.id for chunk in run)
            return run

    def claimed(self, run: ChunkRun, *, missed: bool) -> None:
        """Note that a thread has claimed what it could of a run.

        `missed`: another worker was first. Then go on elsewhere in the page, or with a new one.
        """
        with self._lock:
            self._dealt.difference_update(chunk.id for chunk in run)
            self._misses = self._misses + 1 if missed else 0
            if self._misses >= _MISSES_OF_A_STALE_PAGE:
                self._page.clear()
                self._misses = 0
            elif missed and self._page:
                self._page = deque(rotated(tuple(self._page), len(self._page)))

    def ended(self, *, unspent: int) -> None:
        """Note that a run is out of work; `unspent` of its chunks have not ended."""
        with self._lock:
            self._in_work -= 1
            self._wait_until = 0.0  # it may have left chunks pending
            if self._budget is not None:
                self._budget += unspent

    def forget_page(self) -> None:
        """Read a new page next: the database was away."""
        with self._lock:
            self._page.clear()

    def exclude(self, chunk_id: ObjectId) -> None:
        """Deal this chunk no more: its document can take neither a result nor a failure."""
        with self._lock:
            self._excluded.add(chunk_id)

    def _read_page(self) -> float | None:
        """Fill the page; else return how long to wait for one."""
        now = time.monotonic()
        if now < self._wait_until:  # another thread has just found nothing
            return self._wait_until - now
        # What another thread is about to claim is still pending.
        settings, taken = self._settings, self._dealt | self._excluded
        roster = self._queue.roster
        try:
            readers = roster.workers_alive()
            order = replace(self._order, readers=readers)
            page = self._read_chunks(settings.page_size + len(taken), order)
        except DatabaseUnavailable:
            self._conditions.not_empty()  # or it may not be empty at all
            raise
        chunks = [chunk for chunk in page.chunks if chunk.id not in taken]
        due = page.next_due_seconds
        self.is_dry = not chunks and due is None and page.is_last
        if self.is_dry and not self._in_work:
            pause = self._conditions.found_empty()
        else:
            self._conditions.not_empty()
            pause = POLL_SECONDS if due is None else min(due + 0.05, POLL_SECONDS)
        if chunks:
            runs = chunk_runs(chunks, settings.sequence_seconds, page.share(roster))
            window = RUNS_PER_SLOT * roster.slots_alive() if readers > 1 else 1
            self._page.extend(rotated(runs, window))
            return None
        self._wait_until = now + pause
        return pause
