"""How the chunks that a worker tried have ended."""

import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from bson import ObjectId

from stt.domain.chunk import Chunk
from stt.system.log_context import PLAIN

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Stats:
    """Counts of chunks by how they ended; `skipped` went to other workers. Safe between threads.

    `finished`: those that are not tried again, `seconds` of their recordings; `set_aside` of them
    have failed. `call_seconds`: how long the calls with a result took, and `call_audio_seconds`:
    the recordings in them.
    """

    counts: dict[str, int] = field(
        default_factory=lambda: {"transcribed": 0, "empty": 0, "error": 0, "skipped": 0}
    )
    finished: int = 0
    set_aside: int = 0
    seconds: float = 0.0
    call_seconds: float = 0.0
    call_audio_seconds: float = 0.0
    recordings: set[ObjectId | None] = field(default_factory=set, repr=False)
    _failing: set[ObjectId] = field(default_factory=set, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, ending: str) -> None:
        with self._lock:
            self.counts[ending] += 1

    def failed(self, chunk: Chunk, *, is_last_try: bool = False) -> None:
        with self._lock:
            self.counts["error"] += 1
            self._failing.add(chunk.id)
            if is_last_try:
                self.set_aside += 1
                self._finish(chunk)

    def succeeded(self, chunk: Chunk, ending: str) -> None:
        with self._lock:
            self.counts[ending] += 1
            self._failing.discard(chunk.id)
            self._finish(chunk)

    def answered(self, chunks: Iterable[Chunk], seconds: float) -> None:
        """Note that a call with these chunks took so long."""
        with self._lock:
            self.call_seconds += seconds
            self.call_audio_seconds += sum(chunk.recording_seconds for chunk in chunks)

    def _finish(self, chunk: Chunk) -> None:
        self.finished += 1
        self.seconds += chunk.recording_seconds
        self.recordings.add(chunk.recording_id)

    def plus(self, other: "Stats") -> "Stats":
        """Return the counts of both together."""
        with other._lock:
            return Stats(
                {ending: n + other.counts[ending] for ending, n in self.counts.items()},
                self.finished + other.finished,
                self.set_aside + other.set_aside,
                self.seconds + other.seconds,
                self.call_seconds + other.call_seconds,
                self.call_audio_seconds + other.call_audio_seconds,
                self.recordings | other.recordings,
                self._failing | other._failing,
            )

    def log(self) -> None:
        """Write the last line of a worker."""
        logger.info("Completed processing. Stats: %s", self.counts, extra=PLAIN)

    @property
    def has_failures(self) -> bool:
        """True if a chunk failed here and did not succeed here at a later try."""
        return bool(self._failing)

    @property
    def succeeded_chunks(self) -> int:
        return self.counts["transcribed"] + self.counts["empty"]

    @property
    def failing_chunks(self) -> int:
        """Chunks that failed here and did not succeed here at a later try."""
        return len(self._failing)

    @property
    def done(self) -> int:
        return self.counts["transcribed"] + self.counts["empty"] + self.counts["error"]

    @property
    def errors(self) -> int:
        return self.counts["error"]
