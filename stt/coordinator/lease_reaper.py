"""A background thread that recovers stale claims, for fleets whose workers all are nodes."""

import logging
import threading

from stt.coordinator.context import Coordinator
from stt.domain.claim import ClaimRules
from stt.errors import SttError
from stt.store import claims
from stt.store.leases import LeaseWatch

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 5.0


def start_lease_reaper(coordinator: Coordinator) -> threading.Thread:
    """Start the thread; it ends when `coordinator.closing` is set, or with the process.

    Any number of coordinators may run one.
    """
    thread = threading.Thread(target=_run, args=(coordinator,), name="lease reaper", daemon=True)
    thread.start()
    return thread


def _run(coordinator: Coordinator) -> None:
    rules, wait_seconds = ClaimRules.of(coordinator.settings), 0.0
    watch = LeaseWatch(coordinator.database)
    while not coordinator.closing.wait(wait_seconds):
        wait_seconds = rules.lease_seconds
        try:
            for stale in claims.recover(coordinator.database, rules, watch=watch):
                logger.warning("%s", stale, extra=stale.log_fields)
        except SttError as error:
            wait_seconds = min(wait_seconds, _RETRY_SECONDS)
            if not coordinator.closing.is_set():
                logger.warning("claims cannot be freed: %s", error)
        except Exception:  # the next round must come
            logger.exception("lease reaper")
