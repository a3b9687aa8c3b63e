"""What the threads of a worker share."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from stt.domain.claim import Claim, Claims
from stt.errors import ClaimLost, DatabaseRefused, DatabaseUnavailable
from stt.whisper.pool import ServerPool
from stt.worker.heartbeat import Heartbeat
from stt.worker.outage import Outage
from stt.worker.planner import Planner
from stt.worker.stats import Stats
from stt.worker.stop_conditions import StopConditions
from stt.worker.transcriber import Transcriber

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """The parts of a worker; `worker` is its id, `stop` ends every thread.

    Once `is_over`, the worker has written its last line, and an abandoned thread logs no more.
    """

    worker: str
    claims: Claims
    planner: Planner
    pool: ServerPool
    transcriber: Transcriber
    heartbeat: Heartbeat
    conditions: StopConditions
    outage: Outage
    stats: Stats
    max_attempts: int
    stop: threading.Event
    is_over: threading.Event

    def release(self, held: Sequence[Claim], *, isolated: bool = False) -> int:
        """Release the chunks, and return how many.

        Those that the database cannot release, or that it does not reach, are left to their
        lease; the log says so unless the worker `is_over`.
        """
        released = 0
        for at, claim in enumerate(held):
            try:
                self.claims.release(claim, isolated=isolated)
                released += 1
            except ClaimLost:
                pass
            except DatabaseRefused as error:
                message = "chunk %s is left to its lease: %s"
                logger.error(message, claim.chunk.id, error, extra=claim.chunk.log_fields)
            except DatabaseUnavailable as error:
                if not self.is_over.is_set():
                    logger.warning("%d chunk(s) left to their lease: %s", len(held) - at, error)
                break
        return released
