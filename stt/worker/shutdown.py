"""The end of a worker's run: what a signal stops, and how long the rest is waited for."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from stt.domain.claim import Claim
from stt.errors import SttError
from stt.system.log_context import with_log_fields
from stt.worker.context import WorkerContext
from stt.worker.stats import Stats
from stt.worker.worker_thread import WorkerThread

logger = logging.getLogger(__name__)

_CHECK_SECONDS = 0.05
_WAIT_SECONDS = 5.0


class Shutdown:
    """Counts the signals that a worker got, and ends its threads. For one thread."""

    def __init__(self, context: WorkerContext, threads: Sequence[WorkerThread]) -> None:
        self.signals = 0
        self._context = context
        self._threads = threads
        self._deadline: float | None = None  # on time.monotonic(), once calls were abandoned

    @property
    def results(self) -> int:
        """How many results are known and not in the database yet."""
        return sum(thread.results for thread in self._threads)

    def begin(self) -> None:
        """Let the threads claim nothing more."""
        self._context.claims.stop_retrying()
        self._context.stop.set()

    def abandon_calls(self) -> None:
        """Release the claims of calls that hang; the fence drops their results.

        A call cannot be cancelled. Give results, and threads that are not in a call, five seconds
        to reach the database.
        """
        self.begin()  # two signals at once may leave no time for it before
        self._deadline = time.monotonic() + _WAIT_SECONDS
        claims = [claim for thread in self._threads for claim in thread.abandon()]
        for claim in claims:
            self._context.heartbeat.drop(claim)
            claim.trusted_until = 0.0  # a single try
        releasing = _in_background(lambda: self._release(claims))
        if results := self.results:
            logger.info("Writing %d finished result(s), for %g s at most", results, _WAIT_SECONDS)
        while time.monotonic() < self._deadline and (
            releasing.is_alive() or self.results or self._is_any_ending()
        ):
            time.sleep(_CHECK_SECONDS)
        if releasing.is_alive():
            logger.warning("The database keeps silent: what is not released is left to its lease")
        if results := self.results:
            logger.warning(
                "%d finished result(s) dropped: done anew when their lease is over", results
            )

    def finish(self, sum_up: Callable[[Stats], None], report_stopped: Callable[[], None]) -> None:
        """End the heartbeat, log the stats after `sum_up`, and report the worker as stopped."""
        context = self._context
        self._wait_for(lambda: context.heartbeat.stop(_WAIT_SECONDS))
        context.is_over.set()
        context.run_log.ended()
        sum_up(context.stats)
        context.stats.log()
        self._wait_for(report_stopped)

    def _is_any_ending(self) -> bool:
        return any(thread.is_alive() and thread.call is None for thread in self._threads)

    def _release(self, claims: Sequence[Claim]) -> None:
        released = self._context.release(claims)
        if released and not self._context.is_over.is_set():
            logger.info("Released %d chunk(s) of unfinished calls", released)

    def _wait_for(self, action: Callable[[], None]) -> None:
        """Wait until `action` is done, for a while; not at all if the database is away."""
        thread = _in_background(action)
        if self._context.outage.error is None:
            deadline = self._deadline or time.monotonic() + _WAIT_SECONDS
            thread.join(max(0.0, deadline - time.monotonic()))


def _in_background(action: Callable[[], None]) -> threading.Thread:
    """Run `action` in a thread: a database that is away may hold it up for long."""

    def run() -> None:
        try:
            action()
        except SttError as error:
            logger.debug("%s", error)

    thread = threading.Thread(target=with_log_fields(run), name="shutdown", daemon=True)
    thread.start()
    return thread
