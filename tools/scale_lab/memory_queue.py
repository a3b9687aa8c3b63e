"""A model of the queue in memory, for fleets in simulated time: pages, claims and the roster."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from bson import ObjectId

from stt.domain.chunk import Chunk
from stt.domain.claim import Order, Page
from stt.store.claim_queries import PagePlace
from stt.store.spread_pages import spread_page

CHUNK_SECONDS = 30
_START = datetime(2026, 1, 1, tzinfo=UTC)
_KEEP_SECONDS = 5.0
"""As the counts of the living are kept by workers."""


class MemoryQueue:
    """Chunks of recordings one after the other, each pending until it is claimed.

    `documents` counts what pages have read, `pages` the pages.
    """

    def __init__(self, chunks: int, chunks_of_recording: int) -> None:
        self.pages = 0
        self.documents = 0
        self._count = chunks
        self._of_recording = chunks_of_recording
        self._next = list(range(chunks + 1))  # of each chunk the next pending one, itself if it is
        self._made: dict[int, Chunk] = {}

    def page(self, limit: int, order: Order) -> Page:
        """Return a page as a worker of a database reads it."""
        return spread_page(limit, order, self._read, self._last_start)

    def claim(self, chunk: Chunk) -> bool:
        """Claim the chunk; False if it is not pending any more."""
        at = int.from_bytes(chunk.id.binary)
        if self._next[at] != at:
            return False
        self._next[at] = at + 1
        return True

    def _read(self, limit: int, order: Order, begin: PagePlace | None = None) -> Page:
        self.pages += 1
        at = 0
        if begin is not None:  # the first chunk that does not begin before
            at = -int((_START - begin.start).total_seconds() // CHUNK_SECONDS)
        found: list[Chunk] = []
        while (at := self._pending(min(at, self._count))) < self._count and len(found) <= limit:
            found.append(self._chunk(at))
            at += 1
        self.documents += len(found)
        return Page(tuple(found[:limit]), is_last=len(found) <= limit)

    def _last_start(self, order: Order, priority: int | None) -> datetime:
        return _START + timedelta(seconds=CHUNK_SECONDS * (self._count - 1))

    def _pending(self, at: int) -> int:
        """Return the first pending chunk from this one on, and shorten the way there."""
        end = at
        while self._next[end] != end:
            end = self._next[end]
        while self._next[at] != end:
            self._next[at], at = end, self._next[at]
        return end

    def _chunk(self, at: int) -> Chunk:
        if at not in self._made:
            recording, index = divmod(at, self._of_recording)
            self._made[at] = Chunk(
                ObjectId(at.to_bytes(12)),
                ObjectId(recording.to_bytes(12)),
                index,
                start=_START + timedelta(seconds=CHUNK_SECONDS * at),
                duration=float(CHUNK_SECONDS),
                priority=0,
            )
        return self._made[at]


class MemoryRoster:
    """The roster as one worker knows it: some seconds old."""

    def __init__(self, alive: Callable[[], int], slots: int, clock: Callable[[], float]) -> None:
        self._alive = alive
        self._slots = slots
        self._clock = clock
        self._read_at = float("-inf")
        self._known = 1

    def workers_alive(self) -> int:
        if self._clock() - self._read_at > _KEEP_SECONDS:
            self._read_at = self._clock()
            self._known = max(1, self._alive())
        return self._known

    def slots_alive(self) -> int:
        return self.workers_alive() * self._slots
