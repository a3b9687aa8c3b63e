"""What the threads of a worker share."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from bson import ObjectId

from stt.domain.claim import Claim, Order, Queue
from stt.errors import ClaimLost, DatabaseRefused, DatabaseUnavailable
from stt.settings import Settings
from stt.whisper.pool import ServerPool
from stt.worker.arrivals import Arrivals
from stt.worker.heartbeat import REPORT_SECONDS, Heartbeat
from stt.worker.model_routing import ModelRouting
from stt.worker.outage import Outage
from stt.worker.planner import Planner
from stt.worker.run_log import RunLog
from stt.worker.stats import Stats
from stt.worker.stop_conditions import StopConditions
from stt.worker.transcriber import Transcriber

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkOptions:
    """What this run is asked to do; no `recordings` means all of them.

    `watch`: stay when the queue is empty. `arrivals`: in place of `recordings`, at least one, and
    others that are added while it runs. `report_seconds`: between two heartbeats that report
    this worker to the fleet.
    """

    limit: int | None = None
    newest_first: bool = False
    watch: bool = False
    recordings: tuple[ObjectId, ...] = ()
    arrivals: Arrivals | None = None
    report_seconds: float = REPORT_SECONDS

    @property
    def order(self) -> Order:
        arrived = self.recordings if self.arrivals is None else self.arrivals.recordings
        return Order(self.newest_first, arrived)


class WorkerContext:
    """The parts of a worker; `worker` is its id, `stop` ends every thread.

    Once `is_over`, the worker has written its last line, and an abandoned thread logs no more.
    """

    def __init__(
        self,
        worker: str,
        queue: Queue,
        settings: Settings,
        options: WorkOptions,
        report: Callable[[], None],
        total: Callable[[], int | None] = lambda: None,
    ) -> None:
        """`total` returns the chunks of the run, None until they are counted."""
        self.worker = worker
        self.claims = queue.claims
        self.max_attempts = settings.max_attempts
        self.stop = threading.Event()
        self.is_over = threading.Event()
        self.stats = Stats()
        self.run_log = RunLog(self.stats, total)
        self.outage = Outage(queue.place)
        self.audio_outage = Outage("audio store")
        self.left_alone = count(1)
        """Numbers the chunks whose audio this worker may not read."""
        self.pool = ServerPool(settings)
        self.conditions = StopConditions(settings, waits_for_chunks=options.watch)
        self.routing = ModelRouting(queue.claims, self.pool)
        self.planner = Planner(
            queue,
            settings,
            options.order,
            options.limit,
            self.conditions,
            self.routing.read_page,
            options.arrivals,
        )
        self.transcriber = Transcriber(queue.recordings, self.pool, settings)
        self.heartbeat = Heartbeat(
            queue.claims,
            settings.lease_seconds,
            settings.chunk_timeout_seconds,
            report,
            self.outage,
            options.report_seconds,
        )

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
