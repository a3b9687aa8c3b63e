"""A worker: page → claim → transcribe → settle, in parallel lanes, until there is a reason to stop.

There are more lanes than calls at once, so while the calls are in flight the others claim, load
and settle: a server never waits for the database. The main thread looks after them: it finds the
reason to stop, and lets go of what hangs when it is told to.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from bson import ObjectId

import stt
from stt.domain.chunk import Chunk
from stt.domain.claim import Claim, ClaimRules, Claims, Order
from stt.domain.queue import Queue, WorkerReport
from stt.domain.worker_id import WorkerId
from stt.errors import DatabaseUnavailable, NodeRemoved, SttError
from stt.settings import DEFAULT_SERVER_URL, Settings
from stt.store.claims import MongoClaims
from stt.store.database import Database
from stt.store.recordings import MongoRecordings
from stt.store.workers import MongoRoster
from stt.system.log_context import PLAIN
from stt.system.signals import GoAtOnce, on_signals
from stt.whisper.client import WhisperClient
from stt.whisper.health import PoolRules
from stt.whisper.pool import ServerPool
from stt.worker.heartbeat import REPORT_SECONDS, Heartbeat
from stt.worker.outage import Outage
from stt.worker.planner import Planner, PlanRules
from stt.worker.stats import Stats
from stt.worker.stop_conditions import StopConditions, StopRules
from stt.worker.transcriber import Transcriber
from stt.worker.worker_thread import WorkerContext, WorkerThread, release_all

logger = logging.getLogger(__name__)


_LOOK_SECONDS = 0.05
_SHUTDOWN_SECONDS = 5.0
_SIGNALS_TO_GO_AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class WorkOptions:
    """What this run is asked to do; no `sources` means all of them.

    `watch`: stay when the queue is empty or rests. `report_seconds`: between two heartbeats that
    tell the fleet of this worker.
    """

    limit: int | None = None
    newest_first: bool = False
    watch: bool = False
    recordings: tuple[ObjectId, ...] = ()
    report_seconds: float = REPORT_SECONDS


@dataclass(frozen=True, slots=True)
class Call:
    """A call in flight: `seconds` of audio of one recording, sent `elapsed_seconds` ago."""

    chunks: tuple[Chunk, ...]
    filename: str
    seconds: float
    elapsed_seconds: float


class Worker:
    """One worker process. `run()` it once, from the main thread if signals are to stop it."""

    def __init__(self, queue: Queue, settings: Settings, options: WorkOptions, worker: str) -> None:
        self.id = WorkerId(worker)
        self.stats = Stats()
        self.total: int | None = None
        """Chunks that this run will end, as counted at its start; None before that."""
        self._settings = settings
        self._options = options
        self._order = Order(options.newest_first, options.recordings)
        self._roster = queue.roster
        self._threads: list[WorkerThread] = []
        self._signals = 0
        self._asked_to_stop: str | None = None
        self._must_abandon = False
        self._is_stopping = threading.Event()
        self._is_over = threading.Event()
        self._fatal: BaseException | None = None
        self._shutdown_seconds = _SHUTDOWN_SECONDS
        self._claims = queue.claims
        self._recordings = queue.recordings
        self._pool = _pool(settings)
        self._outage = Outage(queue.place)
        self._heartbeat = Heartbeat(
            self._claims,
            settings.lease_seconds,
            settings.chunk_timeout_seconds,
            self._report,
            self._outage,
            options.report_seconds,
        )
        self._conditions = StopConditions(_stop_rules(settings, options))
        self._transcriber = Transcriber(
            self._recordings,
            self._pool,
            settings.chunk_timeout_seconds,
            keeps_words=settings.word_timestamps,
        )
        plan_rules = PlanRules(
            order=self._order,
            limit=options.limit,
            page_size=settings.page_size,
            sequence_seconds=settings.sequence_seconds,
        )
        self._planner = Planner(self._claims, self._roster, plan_rules, self._conditions)

    @classmethod
    def at_database(
        cls,
        database: Database,
        settings: Settings,
        options: WorkOptions,
        claims: Claims | None = None,
    ) -> Self:
        """A worker of this process that reaches the database itself."""
        worker = WorkerId.of_this_process()
        queue = Queue(
            claims or MongoClaims(database, worker, ClaimRules.of(settings)),
            MongoRecordings(database),
            MongoRoster(database),
        )
        return cls(queue, settings, options, worker)

    def run(self) -> Stats:
        """Works until there is a reason to stop.

        Raises the error that ended the run early, if one did, or GoAtOnce after a third signal;
        the stats hold all the same.
        """
        logger.info("Worker ID: %s", self.id, extra=PLAIN)
        pending = self._claims.count_pending(self._order)
        self.total = pending if self._options.limit is None else min(pending, self._options.limit)
        logger.info("Total pending chunks: %d", pending, extra=PLAIN)
        slots = self._pool.tune(self._settings.parallel_limit)
        logger.info("Using %d parallel worker(s)", slots, extra=PLAIN)
        for stale in self._claims.recover():
            logger.warning("%s", stale, extra=stale.log_fields)
        self._report()
        context = self._context()
        self._threads = [
            WorkerThread(context, number) for number in range(slots + max(1, slots // 2))
        ]
        with on_signals(self.drain):
            self._heartbeat.start()
            for thread in self._threads:
                thread.start()
            try:
                self._supervise_threads()
            finally:
                self._shut_down()
        if self._must_go_at_once:
            raise GoAtOnce
        if self._fatal is not None:
            raise self._fatal
        return self.stats

    def drain(self) -> None:
        """Stop claiming, finish what is in flight. The second time: release what hangs in calls.
        The third time: drop even results that the database has not taken yet.

        Signal handlers call it, so it takes no lock: `run` looks often.
        """
        self._signals += 1

    def stop(self, reason: str, *, at_once: bool = False) -> None:
        """Ends the run as a stop condition does; `at_once` also lets go of what is in flight."""
        self._asked_to_stop = reason
        self._must_abandon = at_once

    @property
    def was_interrupted(self) -> bool:
        return self._signals > 0

    @property
    def was_asked_to_stop(self) -> bool:
        """True if `stop` ended the run, or would have in a moment."""
        return self._asked_to_stop is not None

    @property
    def is_ending(self) -> bool:
        """True if it stops, or sees nothing more to claim: nobody knows what `total` is worth."""
        return self._is_stopping.is_set() or self._planner.is_dry

    @property
    def _must_go_at_once(self) -> bool:
        return self._signals >= _SIGNALS_TO_GO_AT_ONCE

    @property
    def in_flight(self) -> int:
        return len(self._heartbeat.held())

    def calls(self) -> list[Call]:
        """What the servers are at for this worker."""
        found = []
        for thread in self._threads:
            if (call := thread.call) is not None:
                claims, elapsed_seconds = call
                chunks = tuple(claim.chunk for claim in claims)
                recording = self._recordings.of(chunks[0])
                seconds = sum(chunk.planned_seconds for chunk in chunks)
                filename = recording.filename if recording else ""
                found.append(Call(chunks, filename, seconds, elapsed_seconds))
        return found

    def check_claims(self) -> None:
        """Renews all claims now: what was taken away by hand is then known to be lost."""
        self._heartbeat.renew_now()

    @property
    def results_to_write(self) -> int:
        """Results that are finished and not in the database yet."""
        return sum(thread.results for thread in self._threads)

    def _supervise_threads(self) -> None:
        told_how_to_go = is_over = False
        while not is_over:
            time.sleep(_LOOK_SECONDS)
            is_over = not any(thread.is_alive() for thread in self._threads)
            reason = self._reason_to_stop()
            if reason is not None and not self._is_stopping.is_set():
                logger.info("Stopping: %s", reason)
                if isinstance(self._fatal, SttError):
                    self._fatal.is_logged = True
                self._claims.stop_retrying()
                self._is_stopping.set()
            if self._signals and not told_how_to_go:
                told_how_to_go = True
                logger.info("Finishing what is in flight. Once more (Ctrl-C) releases it and goes.")
            if (
                self._signals > 1
                or self._must_abandon
                or isinstance(self._fatal, (DatabaseUnavailable, NodeRemoved))
            ):
                self._abandon_calls()
                return

    def _reason_to_stop(self) -> str | None:
        if self._fatal is None:
            self._fatal = next((thread.error for thread in self._threads if thread.error), None)
        is_away_for_long = self._outage.seconds > self._settings.lease_seconds
        if self._fatal is None and is_away_for_long and not self._settings.persistent:
            self._fatal = self._outage.error
        if self._fatal is not None:
            return str(self._fatal) or type(self._fatal).__name__
        # Asked in any case, for it measures the time.
        reason = self._conditions.reason(
            is_busy=any(thread.is_busy for thread in self._threads),
            is_hindered=self._outage.error is not None
            or any(thread.waits_for_server for thread in self._threads),
        )
        return "interrupted" if self._signals else self._asked_to_stop or reason

    def _abandon_calls(self) -> None:
        """Releases what hangs in calls, which cannot be taken back; the fence drops their results.

        Lanes that are not in a call get a moment to end, and results all the time in which their
        claims can be trusted: only a third signal drops them.
        """
        self._claims.stop_retrying()
        self._is_stopping.set()  # two signals at once may leave no time for it before
        taken = [claim for thread in self._threads for claim in thread.abandon()]
        for claim in taken:
            self._heartbeat.drop(claim)
            claim.trusted_until = 0.0  # one try: who asks twice to go does not want to wait
        releasing = _in_background(lambda: self._release(taken))
        patient_until = time.monotonic() + _SHUTDOWN_SECONDS
        told = 0
        while not self._must_go_at_once:
            results = self.results_to_write
            if results and not told:
                told = results
                logger.info("Writing %d finished result(s); a third Ctrl-C drops them", results)
            is_ending = releasing.is_alive() or any(
                thread.is_alive() and not thread.is_in_call for thread in self._threads
            )
            if results:
                patient_until = time.monotonic() + _SHUTDOWN_SECONDS
            elif not is_ending:
                return
            elif time.monotonic() > patient_until:
                break
            time.sleep(_LOOK_SECONDS)
        self._shutdown_seconds = 0.0
        if releasing.is_alive():
            logger.warning("The database keeps silent: what is not released is left to its lease")
        if results := self.results_to_write:
            logger.warning(
                "%d finished result(s) dropped: done anew when their lease is over", results
            )

    def _release(self, claims: list[Claim]) -> None:
        released = release_all(self._claims, claims, self._is_over)
        if released and not self._is_over.is_set():
            logger.info("Released %d chunk(s) of unfinished calls", released)

    def _shut_down(self) -> None:
        patience_seconds = 0.0 if self._outage.error else self._shutdown_seconds
        self._wait_for(lambda: self._heartbeat.stop(patience_seconds), patience_seconds)
        self._is_over.set()
        logger.info("Completed processing. Stats: %s", self.stats.counts, extra=PLAIN)
        self._wait_for(lambda: self._report("stopped"), patience_seconds)

    def _wait_for(self, action: Callable[[], None], patience_seconds: float) -> None:
        """Until it is done, the patience is over, or a third signal comes."""
        thread = _in_background(action)
        patient_until = time.monotonic() + patience_seconds
        while thread.is_alive() and time.monotonic() < patient_until:
            if self._must_go_at_once:
                return
            thread.join(_LOOK_SECONDS)

    def _report(self, state: str | None = None) -> None:
        self._roster.report(self.id, self._self_description(state))

    def _self_description(self, state: str | None) -> WorkerReport:
        return WorkerReport(
            host=self.id.owner,
            pid=os.getpid(),
            version=stt.__version__,
            server=self._pool.urls,
            state=state or self._state(),
            slots=self._pool.slots,
            chunks=tuple(str(claim.chunk.id) for claim in self._heartbeat.held()),
            counts=self.stats.counts,
        )

    def _state(self) -> str:
        if self._is_stopping.is_set():
            return "draining"
        # Nobody is to leave work to a worker that cannot do it now.
        return "waiting" if any(thread.waits_for_server for thread in self._threads) else "working"

    def _context(self) -> WorkerContext:
        return WorkerContext(
            worker=self.id,
            claims=self._claims,
            planner=self._planner,
            pool=self._pool,
            transcriber=self._transcriber,
            heartbeat=self._heartbeat,
            conditions=self._conditions,
            outage=self._outage,
            stats=self.stats,
            max_attempts=self._settings.max_attempts,
            stop=self._is_stopping,
            is_over=self._is_over,
        )


def _in_background(action: Callable[[], None]) -> threading.Thread:
    """Does what the database may keep waiting, where that holds up nobody."""

    def act() -> None:
        try:
            action()
        except SttError as error:
            logger.debug("%s", error)

    thread = threading.Thread(target=act, name="goodbye", daemon=True)
    thread.start()
    return thread


def _stop_rules(settings: Settings, options: WorkOptions) -> StopRules:
    stays = options.watch or settings.persistent
    return StopRules(
        empty_looks=None if stays else settings.required_empty_checks,
        empty_wait_seconds=settings.empty_queue_wait_seconds,
        idle_seconds=None if stays else settings.idle_timeout_minutes * 60,
        max_seconds=None if settings.max_minutes is None else settings.max_minutes * 60,
    )


def _pool(settings: Settings) -> ServerPool:
    key = settings.api_key.get_secret_value() if settings.api_key else None
    urls = settings.server_urls or (DEFAULT_SERVER_URL,)
    rules = PoolRules(
        give_up_seconds=None if settings.persistent else settings.server_unreachable_minutes * 60,
        max_broken=None if settings.persistent else settings.max_consecutive_failures,
        canary_seconds=settings.chunk_timeout_seconds,
    )
    return ServerPool([WhisperClient(url, key, settings.model) for url in urls], rules)
