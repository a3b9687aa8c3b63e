"""What a coordinator does by itself, beside answering: it frees claims that have run out."""

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
    """A thread that lives while this is entered. Any number of coordinators may do the same."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="duties", daemon=True)

    def __enter__(self) -> "LeaseReaper":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Does not wait long: what a database that is away holds up ends with the process."""
        self._stop.set()
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        settings = self._coordinator.settings
        wait = 0.0
        while not self._stop.wait(wait):
            wait = settings.lease_seconds
            try:
                self._recover()
            except SttError as error:
                wait = min(wait, _RETRY_SECONDS)
                if not self._stop.is_set():
                    logger.warning("claims cannot be freed: %s", error)
            except Exception:  # whatever it is, the next round must come
                logger.exception("duties")

    def _recover(self) -> None:
        settings = self._coordinator.settings
        rules = ClaimRules.of(settings)
        freed = claims.recover(self._coordinator.database, rules, rules.lease_seconds)
        for stale in freed:
            logger.warning("%s", stale, extra=stale.log_fields)
