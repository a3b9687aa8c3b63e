"""Since when the database is away, as a worker's threads find out: said once, as is its end."""

import logging
import threading
import time

from stt.errors import DatabaseUnavailable

logger = logging.getLogger(__name__)


class Outage:
    """Over once all who found the database away have heard from it again. Safe between threads."""

    def __init__(self, place: str = "database") -> None:
        self._place = place
        self._since: dict[str, float] = {}  # by who noticed, on time.monotonic()
        self._lock = threading.Lock()
        self.error: DatabaseUnavailable | None = None
        """What was said of it last; None while the database answers."""

    def record_failure(self, who: str, error: DatabaseUnavailable, asked_at: float) -> None:
        """The database did not answer `who`, who asked at `asked_at` on `time.monotonic()`."""
        with self._lock:
            is_news = not self._since
            self._since.setdefault(who, asked_at)
            self.error = error
        if is_news:
            logger.warning("%s: waiting for it", error)

    def record_answer(self, who: str) -> None:
        with self._lock:
            if self._since.pop(who, None) is None or self._since:
                return
            self.error = None
        logger.info("The %s answers again", self._place)

    @property
    def seconds(self) -> float:
        """How long the database has been away; 0.0 if it is there."""
        with self._lock:
            return time.monotonic() - min(self._since.values()) if self._since else 0.0
