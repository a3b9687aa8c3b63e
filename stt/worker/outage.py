"""How long the database, or S3, has been away, as the threads of a worker found out."""

import logging
import threading
import time

from stt.errors import DatabaseUnavailable

logger = logging.getLogger(__name__)


class Outage:
    """An outage of the database or of S3, whose begin and end are logged. Safe between threads.

    It is over once every thread that got no answer has got one again. A request from before that
    may still fail afterwards, on another connection: it belongs to the outage that is over.
    """

    def __init__(self, place: str = "database") -> None:
        self._place = place
        self._since: dict[str, float] = {}  # by thread, on time.monotonic()
        self._ended_at = 0.0  # on time.monotonic()
        self._lock = threading.Lock()
        self.error: DatabaseUnavailable | None = None
        """The latest failure; None while the database answers."""

    def record_failure(self, thread: str, error: DatabaseUnavailable, asked_at: float) -> None:
        """Record that a request of `asked_at`, on `time.monotonic()`, got no answer."""
        with self._lock:
            if asked_at < self._ended_at:
                return
            is_new = not self._since
            self._since.setdefault(thread, asked_at)
            self.error = error
        if is_new:
            logger.warning("%s: waiting for it", error)

    def record_answer(self, thread: str) -> None:
        with self._lock:
            if self._since.pop(thread, None) is None or self._since:
                return
            self.error = None
            self._ended_at = time.monotonic()
        logger.info("The %s answers again", self._place)

    def forget(self) -> None:
        """Count it as over, without an answer: there is nothing to ask for."""
        with self._lock:
            self._since.clear()
            self.error = None

    @property
    def seconds(self) -> float:
        """How long it has been away; 0.0 if it answers."""
        with self._lock:
            return time.monotonic() - min(self._since.values()) if self._since else 0.0
