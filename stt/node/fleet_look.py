"""The whole fleet as its coordinator tells it, for the node's page."""

import logging
import threading
import time
from typing import Any

from stt.errors import SttError
from stt.remote.client import CoordinatorClient

logger = logging.getLogger(__name__)

_KEPT_SECONDS = 5.0


class FleetMonitor:
    """Asks at most every few seconds, however many pages ask it. Safe between threads."""

    def __init__(self, client: CoordinatorClient) -> None:
        self._client = client
        self._told: dict[str, Any] | None = None
        self._asked_at = float("-inf")
        self._lock = threading.Lock()

    def look(self) -> dict[str, Any] | None:
        """What `GET /status` answers; None if it does not."""
        with self._lock:
            if time.monotonic() - self._asked_at > _KEPT_SECONDS:
                self._told = self._asked()
                self._asked_at = time.monotonic()
            return self._told

    def _asked(self) -> dict[str, Any] | None:
        try:
            told = self._client.ask("GET", "/status", timeout_seconds=_KEPT_SECONDS)
        except SttError as error:
            logger.debug("fleet: %s", error)
            return None
        return told if isinstance(told, dict) else None
