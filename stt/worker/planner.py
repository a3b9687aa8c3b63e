"""Which chunks a worker tries next: runs dealt from a page of the queue to its threads."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil, inf
from typing import Any

from bson import ObjectId

from stt.domain.chunk import RUNS_PER_SLOT, Chunk, ChunkRun, rotated
from stt.domain.claim import Order, Page, Queue
from stt.errors import DatabaseUnavailable
from stt.settings import Settings
from stt.worker.arrivals import Arrivals
from stt.worker.stop_conditions import POLL_SECONDS, StopConditions

_MISSES_OF_A_STALE_PAGE = 3
_TURN_SECONDS = 0.2
"""Until a thread asks again whether another recording may be begun."""
_GROWING_SECONDS = 0.1
"""Until one worker asks again for what is being cut; of several each waits as much longer."""


class Planner:
    """Deals out runs of chunks. All threads of a worker share one, so that they never collide.

    Workers may collide, each with a page of its own: so of several each begins elsewhere in its
    page, goes on elsewhere after a miss, and after three in a row reads a new one; chunks of a
    higher priority come first all the same. Each run that was dealt is reported
    twice: by `claimed`, then by `ended`. `limit` is the most chunks that end, None for all.

    With `arrivals`, their recordings are dealt, and the queue is not empty until they have ended.

    With MAX_CONCURRENT_JOBS, chunks of so many recordings are dealt, until nothing of one is
    pending or in work here: then another is begun.
    """

    def __init__(
        self,
        queue: Queue,
        settings: Settings,
        order: Order,
        limit: int | None,
        conditions: StopConditions,
        read_page: Callable[[int, Order], Page] | None = None,
        arrivals: Arrivals | None = None,
    ) -> None:
        self._queue = queue
        self._read_chunks = read_page or (lambda size, wanted: queue.claims.page(size, wanted))
        self._settings = settings
        self._order = order
        self._arrivals = arrivals
        self._limit = limit
        self._conditions = conditions
        self.is_dry = False
        """True if the last page had nothing pending that is not in work here."""
        self._budget = limit
        self._page: deque[ChunkRun] = deque()
        self._dealt: set[ObjectId] = set()
        self._excluded: set[ObjectId] = set()
        self._in_work: Counter[Any] = Counter()  # runs, by recording
        self._max_recordings = settings.max_concurrent_jobs or inf
        self._begun: set[Any] = set()  # recordings, if they are limited
        self._misses = 0
        self._wait_until = 0.0
        self._lock = threading.Lock()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is pending, nor in work here."""
        with self._lock:
            return self.is_dry and not self._in_work.total()

    def next(self) -> ChunkRun | float:
        """Return the next run to claim, or the seconds to wait. Raises DatabaseUnavailable."""
        with self._lock:
            if self._budget == 0:
                if not self._in_work.total():
                    self._conditions.limit_reached(self._limit or 0)
                return POLL_SECONDS
            if not self._page and (pause := self._read_page()) is not None:
                return pause
            run = self._page.popleft()
            if self._budget is not None:
                run = run[: self._budget]
                self._budget -= len(run)
            self._in_work[run[0].recording_id] += 1
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

    def ended(self, run: ChunkRun, *, unspent: int) -> None:
        """Note that a run is out of work; `unspent` of its chunks have not ended."""
        with self._lock:
            self._in_work -= Counter([run[0].recording_id])
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
        if time.monotonic() < self._wait_until:  # another thread has just found nothing
            return self._pause()
        try:
            more_come = self._arrivals is not None and not self._arrivals.has_ended
            order = self._order_now()
            if self._read_begun(order):
                return None if self._page else self._wait_for_growing(order)
            if len(self._begun) >= self._max_recordings:
                self.is_dry = False
                self._conditions.not_empty()
                self._wait_until = time.monotonic() + POLL_SECONDS
                return self._pause()
            page, chunks = self._read(order)
        except DatabaseUnavailable:
            self._conditions.not_empty()  # or it may not be empty at all
            raise
        due = page.next_due_seconds
        self.is_dry = not chunks and due is None and page.is_last and not more_come
        if self.is_dry and not self._in_work.total():
            pause = self._conditions.found_empty()
        else:
            self._conditions.not_empty()
            pause = POLL_SECONDS if due is None else min(due + 0.05, POLL_SECONDS)
        if chunks:
            self._fill(page, chunks, order)
            return None if self._page else self._wait_for_growing(order)
        if more_come:
            return self._wait_for_growing(order)
        self._wait_until = time.monotonic() + pause
        return self._pause()

    def _order_now(self) -> Order:
        order = replace(self._order, readers=self._queue.roster.workers_alive())
        return replace(order, recordings=self._arrivals.recordings) if self._arrivals else order

    def _wait_for_growing(self, order: Order) -> float:
        """Wait for more chunks, which come in a moment."""
        pause = min(_GROWING_SECONDS * order.readers, POLL_SECONDS)
        self._wait_until = time.monotonic() + pause
        return self._pause()

    def _pause(self) -> float:
        seconds = max(0.0, self._wait_until - time.monotonic())
        return min(seconds, _TURN_SECONDS) if self._begun else seconds

    def _read_begun(self, order: Order) -> bool:
        """Fill the page with what is pending of the recordings that were begun.

        Return False if nothing is; those that are not in work here either are then finished.
        """
        known = tuple(id_ for id_ in self._begun if isinstance(id_, ObjectId))
        page, chunks = self._read(replace(order, recordings=known)) if known else (None, ())
        # A list of recordings that holds one of them is another program's: not of the known.
        chunks = [chunk for chunk in chunks if chunk.recording_id in self._begun]
        if page is not None and chunks:
            self.is_dry = False
            self._conditions.not_empty()
            self._fill(page, chunks, order)
            return True
        self._begun &= self._in_work.keys()
        return False

    def _read(self, order: Order) -> tuple[Page, Sequence[Chunk]]:
        """Return a page, and those of its chunks that can be dealt."""
        # What another thread is about to claim is still pending.
        taken = self._dealt | self._excluded
        page = self._read_chunks(self._settings.page_size + len(taken), order)
        return page, [chunk for chunk in page.chunks if chunk.id not in taken]

    def _fill(self, page: Page, chunks: Sequence[Chunk], order: Order) -> None:
        roster = self._queue.roster
        # Also after their end: what is left of them is dealt as it would have been at once.
        expected = 0 if self._arrivals is None else self._arrivals.expected_chunks
        runs = page.runs(chunks, self._settings.sequence_seconds, page.share(roster, expected))
        window = RUNS_PER_SLOT * roster.slots_alive() if order.readers > 1 else 1
        runs = rotated(runs, window)
        self._page.extend(runs if self._max_recordings == inf else self._of_begun(page, runs))

    def _of_begun(self, page: Page, runs: Sequence[ChunkRun]) -> list[ChunkRun]:
        """Begin as many recordings as may be, and return their runs, some for each call at once."""
        for run in runs:
            if len(self._begun) < self._max_recordings:
                self._begun.add(run[0].recording_id)
        chosen = [run for run in runs if run[0].recording_id in self._begun]
        count = page.count(chunk for run in chosen for chunk in run)
        size = ceil(count / self._settings.parallel_limit)
        return [run[at : at + size] for run in chosen for at in range(0, len(run), size)]
