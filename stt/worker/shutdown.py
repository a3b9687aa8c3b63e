"""The end of a worker's run: what a signal stops, and how long the rest is waited for."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from stt.domain.claim import Claim
from stt.errors import SttError
from stt.system.log_context import with_log_fields
from stt.worker.context import WorkerContext
from stt.worker.worker_thread import WorkerThread

logger = logging.getLogger(__name__)

_CHECK_SECONDS = 0.05
_WAIT_SECONDS = 5.0
_SIGNALS_TO_EXIT_AT_ONCE = 3


class Shutdown:
    """Counts the signals that a worker got, and ends its threads. For one thread."""

    def __init__(self, context: WorkerContext, threads: Sequence[WorkerThread]) -> None:
        self.signals = 0
        self._context = context
        self._threads = threads
        self._wait_seconds = _WAIT_SECONDS

    @property
    def is_at_once(self) -> bool:
        """True after so many signals that nothing is waited for any more."""
        return self.signals >= _SIGNALS_TO_EXIT_AT_ONCE

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

        A call cannot be cancelled. Threads that are not in a call get a moment to end, and results
        all the time for which their claims can be trusted: only a third signal drops them.
        """
        self.begin()  # two signals at once may leave no time for it before
        claims = [claim for thread in self._threads for claim in thread.abandon()]
        for claim in claims:
            self._context.heartbeat.drop(claim)
            claim.trusted_until = 0.0  # a single try
        releasing = _in_background(lambda: self._release(claims))
        self._wait_for_results(releasing)
        if not self.results and not releasing.is_alive() and not self._is_any_ending():
            return
        self._wait_seconds = 0.0
        if releasing.is_alive():
            logger.warning("The database keeps silent: what is not released is left to its lease")
        if results := self.results:
            logger.warning(
                "%d finished result(s) dropped: done anew when their lease is over", results
            )

    def finish(self, report_stopped: Callable[[], None]) -> None:
        """End the heartbeat, log the stats and report the worker as stopped."""
        context = self._context
        seconds = 0.0 if context.outage.error else self._wait_seconds
        self._wait_for(lambda: context.heartbeat.stop(seconds), seconds)
        context.is_over.set()
        context.stats.log()
        self._wait_for(report_stopped, seconds)

    def _is_any_ending(self) -> bool:
        return any(thread.is_alive() and thread.call is None for thread in self._threads)

    def _wait_for_results(self, releasing: threading.Thread) -> None:
        """Return when nothing is left to wait for, it took too long, or at a third signal."""
        deadline = time.monotonic() + _WAIT_SECONDS
        is_logged = False
        while not self.is_at_once:
            results = self.results
            if results and not is_logged:
                is_logged = True
                logger.info("Writing %d finished result(s); a third Ctrl-C drops them", results)
            if results:
                deadline = time.monotonic() + _WAIT_SECONDS
            elif time.monotonic() > deadline or not (releasing.is_alive() or self._is_any_ending()):
                return
            time.sleep(_CHECK_SECONDS)

    def _release(self, claims: Sequence[Claim]) -> None:
        released = self._context.release(claims)
        if released and not self._context.is_over.is_set():
            logger.info("Released %d chunk(s) of unfinished calls", released)

    def _wait_for(self, action: Callable[[], None], seconds: float) -> None:
        """Wait until `action` is done, the time is over, or a third signal comes."""
        thread = _in_background(action)
        deadline = time.monotonic() + seconds
        while thread.is_alive() and time.monotonic() < deadline and not self.is_at_once:
            thread.join(_CHECK_SECONDS)


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
