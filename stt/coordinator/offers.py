"""Which chunks have just been offered to a worker that waited for work."""

import threading
import time
from collections.abc import Sequence

from bson import ObjectId

from stt.domain.chunk import Chunk, ChunkRun, chunk_runs

_OFFER_SECONDS = 2.0
"""Longer than a worker takes to claim what it was shown, and than a shared page is kept."""


class Offers:
    """Chunks that this process has offered, and until when. Safe between threads.

    Hundreds of workers may wait while one chunk after the other becomes pending: each chunk is
    offered to one of them, and to the next when it has not been claimed in time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[ObjectId, float] = {}  # on `time.monotonic()`

    def free(self, chunks: Sequence[Chunk]) -> tuple[Chunk, ...]:
        """Return the chunks that are not offered to a worker now."""
        now = time.monotonic()
        with self._lock:
            return self._free(chunks, now)

    def offer(self, chunks: Sequence[Chunk], max_seconds: float, max_chunks: int) -> ChunkRun:
        """Offer the first run of the free chunks; empty if all are offered already."""
        now = time.monotonic()
        with self._lock:
            self._until = {id_: until for id_, until in self._until.items() if until > now}
            runs = chunk_runs(self._free(chunks, now), max_seconds, max_chunks)
            if not runs:
                return ()
            self._until |= dict.fromkeys((chunk.id for chunk in runs[0]), now + _OFFER_SECONDS)
            return runs[0]

    def _free(self, chunks: Sequence[Chunk], now: float) -> tuple[Chunk, ...]:
        return tuple(chunk for chunk in chunks if self._until.get(chunk.id, 0.0) <= now)
