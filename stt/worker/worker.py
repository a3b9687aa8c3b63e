"""A worker: claim, transcribe and write back in parallel threads, until a reason to stop.

There are more threads than calls at once, so while the calls are in flight the others claim, load
and write: a server never waits for the database. The main thread supervises them: it finds the
reason to stop, and abandons calls that hang when it has to.
"""

import logging
import os
import socket
import time
from collections.abc import Callable
from typing import Self

import stt
from stt.domain.claim import ClaimRules, Claims, Queue, WorkerReport
from stt.domain.node import Job
from stt.domain.progress import Progress
from stt.domain.worker_id import WorkerId
from stt.errors import AudioStoreUnavailable, DatabaseUnavailable, NodeRemoved, SttError
from stt.settings import Settings
from stt.store.claimed_recordings import ClaimedRecordings
from stt.store.claims import MongoClaims
from stt.store.database import Database
from stt.store.recordings import MongoRecordings
from stt.store.workers import MongoRoster
from stt.system.log_context import PLAIN, log_fields
from stt.system.process_identity import ProcessIdentity
from stt.system.signals import on_signals
from stt.worker.context import WorkerContext, WorkOptions
from stt.worker.progress import ProgressCounter, RunView
from stt.worker.shutdown import Shutdown
from stt.worker.stats import Stats
from stt.worker.worker_thread import WorkerThread

logger = logging.getLogger(__name__)

_CHECK_SECONDS = 0.05
_COUNT_WAIT_SECONDS = 1.0
_MAX_MODELS = 1_000


class Worker:
    """One worker process. `run()` it once, from the main thread if signals are to stop it."""

    def __init__(self, queue: Queue, settings: Settings, options: WorkOptions, worker: str) -> None:
        self.id = WorkerId(worker)
        self._settings = settings
        self._options = options
        self._queue = queue
        self._asked_to_stop: str | None = None
        self._must_abandon = False
        self._fatal: BaseException | None = None
        self._context = WorkerContext(
            self.id, queue, settings, options, self._report, lambda: self.total
        )
        self.stats = self._context.stats
        self._threads: list[WorkerThread] = []
        self._shutdown = Shutdown(self._context, self._threads)
        self._counter = ProgressCounter(
            queue,
            options.order,
            options.limit,
            RunView(
                self.stats,
                in_flight=self._context.heartbeat.held,
                threads=lambda: 0 if self._context.planner.is_idle else len(self._threads),
                is_dry=lambda: self._context.planner.is_dry,
                stays=options.watch or settings.persistent,
                calls=lambda: [call for thread in self._threads if (call := thread.call)],
                arrivals=options.arrivals,
            ),
        )

    @classmethod
    def at_database(
        cls,
        database: Database,
        settings: Settings,
        options: WorkOptions,
        claims: Claims | None = None,
    ) -> Self:
        """Make a worker of this process that reaches the database itself."""
        worker, process = WorkerId.of_this_process(), ProcessIdentity.of_this_process()
        queue = Queue(
            claims or MongoClaims(database, worker, ClaimRules.of(settings), process),
            ClaimedRecordings(MongoRecordings(database)),
            MongoRoster(database),
        )
        return cls(queue, settings, options, worker)

    def run(self, sum_up: Callable[[Stats], None] = lambda _: None) -> Stats:
        """Work until there is a reason to stop; call `sum_up` before the last line of the log.

        Raises the error that ended the run early, if one did; the stats hold all the same.
        """
        with log_fields(worker=self.id):
            self._prepare()
            with on_signals(lambda *_: self.drain()):
                self._context.heartbeat.start()
                for thread in self._threads:
                    thread.start()
                try:
                    self._supervise_threads()
                finally:
                    self._counter.stop()
                    self._shutdown.finish(sum_up, lambda: self._report("stopped"))
        if self._fatal is not None:
            raise self._fatal
        return self.stats

    def drain(self) -> None:
        """Stop claiming and finish what is in flight.

        The second time: release calls that hang, and offer finished results for five seconds.
        Signal handlers call this, so it takes no lock.
        """
        self._shutdown.signals += 1

    def stop(self, reason: str, *, at_once: bool = False) -> None:
        """End the run as a stop condition does; `at_once` also abandons the calls in flight."""
        self._asked_to_stop = reason
        self._must_abandon = at_once

    @property
    def was_interrupted(self) -> bool:
        return self._shutdown.signals > 0

    @property
    def was_asked_to_stop(self) -> bool:
        """True if `stop` ended the run, or would have in a moment."""
        return self._asked_to_stop is not None

    @property
    def total(self) -> int | None:
        """Chunks of this run; None until they are counted."""
        return self._counter.total

    def progress(self) -> Progress:
        """Return the progress of this run; call it again and again while it is shown."""
        context, waits_for = self._context, ""
        if (error := context.outage.error or context.audio_outage.error) is not None:
            waits_for = str(error)
        elif any(thread.waits_for_server for thread in self._threads):
            waits_for = str(context.pool.last_error or "a whisper server")
        return self._counter.progress(is_ending=context.stop.is_set(), waits_for=waits_for)

    @property
    def in_flight(self) -> int:
        return len(self._context.heartbeat.held())

    @property
    def results_to_write(self) -> int:
        return self._shutdown.results

    def jobs(self) -> tuple[Job, ...]:
        """Return the calls that this worker has in flight."""
        found = []
        for thread in self._threads:
            if (call := thread.call) is not None:
                claims, elapsed_seconds = call
                chunks = [claim.chunk for claim in claims]
                recording = self._queue.recordings.of(claims[0])
                name = (recording.path or recording.filename) if recording else ""
                found.append(Job.of(chunks, name, elapsed_seconds))
        return tuple(found)

    def check_claims(self) -> None:
        """Renew all claims now, so that those that were taken away are known to be lost."""
        self._context.heartbeat.renew_now()

    def _prepare(self) -> None:
        context = self._context
        logger.info("Worker ID: %s", self.id, extra=PLAIN)
        self._counter.start(_COUNT_WAIT_SECONDS)
        slots = context.pool.tune(self._settings.parallel_limit)
        logger.info("Using %d parallel worker(s)", slots, extra=PLAIN)
        context.run_log.started(self._settings, slots, context.pool.urls)
        context.heartbeat.recover()
        self._report()
        count = slots + max(1, slots // 2)
        self._threads += [WorkerThread(context, number) for number in range(count)]

    def _supervise_threads(self) -> None:
        """Return when all threads have ended, or their calls were abandoned."""
        is_drain_logged = is_over = False
        while not is_over:
            time.sleep(_CHECK_SECONDS)
            is_over = not any(thread.is_alive() for thread in self._threads)
            reason = self._reason_to_stop()
            if reason is not None and not self._context.stop.is_set():
                logger.info("Stopping: %s", reason, extra=PLAIN if self._fatal is None else None)
                if isinstance(self._fatal, SttError):
                    self._fatal.is_logged = True
                self._shutdown.begin()
            if self._shutdown.signals and not is_drain_logged:
                is_drain_logged = True
                logger.info("Finishing what is in flight. Once more (Ctrl-C) releases it and goes.")
            if (
                self._shutdown.signals > 1
                or self._must_abandon
                or (
                    isinstance(self._fatal, (DatabaseUnavailable, NodeRemoved))
                    and not isinstance(self._fatal, AudioStoreUnavailable)  # results can be written
                )
            ):
                self._shutdown.abandon_calls()
                return

    def _reason_to_stop(self) -> str | None:
        outages = self._context.outage, self._context.audio_outage
        if self._fatal is None:
            self._fatal = next((thread.error for thread in self._threads if thread.error), None)
        for outage in outages:
            is_away_for_long = outage.seconds > self._settings.lease_seconds
            if self._fatal is None and is_away_for_long and not self._settings.persistent:
                self._fatal = outage.error
        if self._fatal is not None:
            return str(self._fatal) or type(self._fatal).__name__
        # Called in any case, for it measures the time.
        reason = self._context.conditions.reason(
            is_busy=any(thread.is_busy for thread in self._threads),
            is_hindered=any(outage.error is not None for outage in outages)
            or any(thread.waits_for_server for thread in self._threads)
            or (self._options.arrivals is not None and not self._options.arrivals.has_ended),
        )
        return "interrupted" if self._shutdown.signals else self._asked_to_stop or reason

    def _report(self, state: str | None = None) -> None:
        context = self._context
        report = WorkerReport(
            host=socket.gethostname(),
            pid=os.getpid(),
            version=stt.__version__,
            server=context.pool.urls,
            state=state or self._state(),
            slots=context.pool.slots,
            chunks=tuple(str(claim.chunk.id) for claim in context.heartbeat.held()),
            counts=self.stats.counts,
            missing_models=context.routing.missing[:_MAX_MODELS],
            models=context.routing.listed.models[:_MAX_MODELS],
            finds_speakers=context.routing.listed.finds_speakers,
        )
        self._queue.roster.report(self.id, report)

    def _state(self) -> str:
        if self._context.stop.is_set():
            return "draining"
        # Other workers leave no work to one that cannot do any now.
        return "waiting" if any(thread.waits_for_server for thread in self._threads) else "working"
