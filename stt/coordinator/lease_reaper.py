"""A background thread that recovers stale claims, for fleets whose workers all are nodes."""

import logging
import threading

from stt.coordinator.context import Coordinator
from stt.domain.claim import ClaimRules
from stt.errors import SttError
from stt.store import claims

logger = logging.getLogger(__name__)

_STOP_SECONDS = 1.0
_RETRY_SECONDS = 5.0


class LeaseReaper:
    """Runs while this is entered. Any number of coordinators may do the same."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._database = coordinator.database
        self._rules = ClaimRules.of(coordinator.settings)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease reaper", daemon=True)

    def __enter__(self) -> "LeaseReaper":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for a second at most: a call that a database holds up ends with the process."""
        self._stop.set()
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        wait_seconds = 0.0
        while not self._stop.wait(wait_seconds):
            wait_seconds = self._rules.lease_seconds
            try:
                for stale in claims.recover(self._database, self._rules, wait_seconds):
                    logger.warning("%s", stale, extra=stale.log_fields)
            except SttError as error:
                wait_seconds = min(wait_seconds, _RETRY_SECONDS)
                if not self._stop.is_set():
                    logger.warning("claims cannot be freed: %s", error)
            except Exception:  # the next round must come
                logger.exception("lease reaper")
