"""How the chunks that a worker tried have ended."""

import threading
from dataclasses import dataclass, field


@dataclass(slots=True)
class Stats:
    """How the chunks that this worker tried have ended; `skipped` went to other workers."""

    counts: dict[str, int] = field(
        default_factory=lambda: {"transcribed": 0, "empty": 0, "error": 0, "skipped": 0}
    )
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, ending: str) -> None:
        with self._lock:
            self.counts[ending] += 1

    @property
    def done(self) -> int:
        return self.counts["transcribed"] + self.counts["empty"] + self.counts["error"]

    @property
    def errors(self) -> int:
        return self.counts["error"]
