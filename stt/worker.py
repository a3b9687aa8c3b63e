"""A worker: page → claim → transcribe → settle, in parallel lanes, until there is nothing left.

A lane is a thread that takes one sequence at a time through the whole path. There are more lanes
than calls at once, so while the calls are in flight the others claim, load and settle: a server
never waits for the database.
"""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bson import ObjectId

import stt
from stt import chunk
from stt.claim import Claim, ClaimRules, Claims, Order
from stt.claims import MongoClaims
from stt.database import Database
from stt.errors import ClaimLost, DatabaseRefused, DatabaseUnavailable, ServerUnavailable, SttError
from stt.fleet import Fleet, WorkerReport
from stt.heartbeat import Heartbeat
from stt.pipeline import Outcome, Pipeline
from stt.planner import Planner, PlanRules, Wait
from stt.server_pool import ServerPool
from stt.settings import Settings, worker_id
from stt.signals import on_signals
from stt.sources import Sources
from stt.stats import Stats
from stt.transcript import Transcript
from stt.whisper_client import WhisperClient

log = logging.getLogger(__name__)

PLAIN = {"plain": True}
"""Marks log records that people grep for: printed as they are, without a time before them."""

_DEFAULT_SERVER = "http://127.0.0.1:8081"
_DATABASE_RETRY_SECONDS = 1.0
_LOOK_SECONDS = 0.05
_GOODBYE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class WorkOptions:
    """What this run is asked to do; no `sources` means all of them."""

    limit: int | None = None
    newest_first: bool = False
    watch: bool = False
    sources: tuple[ObjectId, ...] = ()


class Worker:
    """One worker process. `run()` it once, from the main thread if signals are to stop it."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        options: WorkOptions,
        claims: Claims | None = None,
    ) -> None:
        self.id = worker_id()
        self.stats = Stats()
        self.total: int | None = None
        """Chunks that this run will end, as counted at its start; None before that."""
        self._asked_to_stop = 0
        self._settings = settings
        self._order = Order(options.newest_first, options.sources)
        self._options = options
        self._fleet = Fleet(database)
        rules = ClaimRules(settings.lease_seconds, settings.max_attempts, settings.max_expirations)
        self._claims = claims or MongoClaims(database, self.id, rules)
        self._pool = _pool(settings)
        self._pipeline = Pipeline(
            Sources(database),
            self._pool,
            settings.chunk_timeout_seconds,
            keeps_words=settings.word_timestamps,
        )
        self._heartbeat = Heartbeat(
            self._claims, settings.lease_seconds, settings.chunk_timeout_seconds, self._report
        )
        self._planner = Planner(self._claims, self._fleet, self._plan_rules())
        self._stop = threading.Event()
        self._calls: dict[int, Sequence[Claim]] = {}  # by lane: what its call in flight is for
        self._fatal: BaseException | None = None
        self._database_away_since: float | None = None

    def run(self) -> Stats:
        """Works until no chunk is left, the limit is reached, or a signal comes.

        Raises the error that ended the run early, if one did; the stats hold all the same.
        """
        log.info("Worker ID: %s", self.id, extra=PLAIN)
        pending = self._claims.count_pending(self._order)
        self.total = pending if self._options.limit is None else min(pending, self._options.limit)
        log.info("Total pending chunks: %d", pending, extra=PLAIN)
        slots = self._pool.tune(self._settings.parallel_limit)
        log.info("Using %d parallel worker(s)", slots, extra=PLAIN)
        for stale in self._claims.recover():
            log.info("freed chunk %s from %s, silent too long", stale.chunk_id, stale.worker)
        self._report()
        try:
            with on_signals(self.drain), self._heartbeat:
                self._run_lanes(slots + max(1, slots // 2))
        finally:
            self._say_goodbye()
        if self._fatal is not None:
            raise self._fatal
        return self.stats

    def drain(self) -> None:
        """Stop claiming, finish what is in flight. The second time: release it and go.

        Signal handlers call it, so it takes no lock: `run` looks often.
        """
        self._asked_to_stop += 1

    @property
    def was_interrupted(self) -> bool:
        return self._asked_to_stop > 0

    @property
    def in_flight(self) -> int:
        return len(self._heartbeat.held())

    def _run_lanes(self, count: int) -> None:
        lanes = [
            threading.Thread(target=self._lane, name=f"lane-{n}", daemon=True) for n in range(count)
        ]
        for lane in lanes:
            lane.start()
        while any(lane.is_alive() for lane in lanes):
            time.sleep(_LOOK_SECONDS)
            if self._asked_to_stop and not self._stop.is_set():
                self._stop.set()
                log.info("Finishing what is in flight. Once more (Ctrl-C) releases it and goes.")
            if self._asked_to_stop > 1:
                self._abandon(lanes)
                return

    def _abandon(self, lanes: Sequence[threading.Thread]) -> None:
        """Frees what hangs in calls, which cannot be taken back; the fence drops their results.

        Lanes that are not in a call get a moment to write what they have.
        """
        patience_until = time.monotonic() + _GOODBYE_SECONDS
        while True:
            for claims in list(self._calls.values()):
                for claim in claims:
                    self._release_at_once(claim)
            if time.monotonic() > patience_until or not any(
                lane.is_alive() and lane.ident not in self._calls for lane in lanes
            ):
                break
            time.sleep(_LOOK_SECONDS)
        for claim in self._heartbeat.held():
            self._release_at_once(claim)

    def _release_at_once(self, claim: Claim) -> None:
        if claim in self._heartbeat.held():
            claim.trusted_until = 0.0  # one try: who asks twice to go does not want to wait
            self._release(claim)

    def _lane(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    if not self._step():
                        return
                except DatabaseUnavailable as error:
                    self._wait_for_database(error)
        except BaseException as error:
            if self._fatal is None:
                self._fatal = error
            self._stop.set()

    def _step(self) -> bool:
        """One sequence, or one wait; False when there is nothing left to do."""
        patience_seconds = self._settings.server_unreachable_minutes * 60
        self._pool.wait_until_available(self._stop, patience_seconds)
        plan = self._planner.next()
        self._database_away_since = None
        if isinstance(plan, Wait):
            self._stop.wait(plan.seconds)
        elif plan is not None:
            self._work_on(plan)
        return plan is not None

    def _work_on(self, sequence: chunk.Sequence) -> None:
        open_claims: list[Claim] = []
        ended = 0
        try:
            self._claim(sequence, open_claims)
            load = self._pipeline.load(open_claims)
            for claim, outcome in self._pipeline.transcribe(load, self._may_start):
                self._calls.pop(threading.get_ident(), None)
                ended += self._settle(claim, outcome)
                open_claims.remove(claim)
        except ServerUnavailable as error:
            log.debug("%s", error)  # the pool says it once, and the lane waits for a server
        finally:
            self._calls.pop(threading.get_ident(), None)
            for claim in open_claims:
                self._release(claim)
            self._planner.give_back(len(sequence) - ended)

    def _claim(self, sequence: chunk.Sequence, claimed: list[Claim]) -> None:
        """Claims in order into `claimed`, up to the first chunk that is not to be had."""
        missed = False
        try:
            for wanted in sequence:
                if self._stop.is_set():
                    return
                claim = self._claims.claim(wanted)
                if claim is None:
                    missed = True
                    self._log_miss(sequence)
                    return
                if claimed and claim.chunk.has_failed_before:  # since the page was read
                    self._release(claim)
                    return
                self._heartbeat.hold([claim])
                claimed.append(claim)
        finally:
            self._planner.claimed(sequence, missed=missed)

    def _log_miss(self, sequence: chunk.Sequence) -> None:
        self.stats.add("skipped")
        log.info(
            "len %d chunks  OriginalId %s  already claimed by another worker",
            len(sequence),
            sequence[0].source_id,
        )

    def _may_start(self, claims: Sequence[Claim]) -> bool:
        if self._stop.is_set() or not all(claim.is_trusted for claim in claims):
            return False
        self._heartbeat.hold(claims)
        self._calls[threading.get_ident()] = claims
        return True

    def _settle(self, claim: Claim, outcome: Outcome) -> bool:
        """Writes how the chunk ended; False if that was not ours to write any more."""
        self._heartbeat.let_go(claim)
        try:
            if isinstance(outcome, Transcript):
                try:
                    self._claims.complete(claim, replace(outcome, worker=self.id))
                except DatabaseRefused as refused:
                    outcome = refused
                else:
                    ending = "transcribed" if outcome.segments else "empty"
                    self.stats.succeeded(claim.chunk.id, ending)
                    return True
            self._claims.fail(claim, outcome.kind, str(outcome))
        except ClaimLost as lost:
            self.stats.add("skipped")
            log.warning("%s: its result is dropped", lost)
            return False
        self.stats.failed(claim.chunk.id)
        log.warning("chunk %s failed: %s", claim.chunk.id, outcome)
        return True

    def _release(self, claim: Claim) -> bool:
        """Frees the chunk; False if the database is away, which leaves it to its lease."""
        self._heartbeat.let_go(claim)
        try:
            self._claims.release(claim)
        except ClaimLost:
            pass
        except DatabaseUnavailable as error:
            log.warning("chunk %s is left to its lease: %s", claim.chunk.id, error)
            return False
        return True

    def _wait_for_database(self, error: DatabaseUnavailable) -> None:
        since = self._database_away_since
        if since is None:
            since = self._database_away_since = time.monotonic()
            log.warning("%s: waiting for it", error)
        if time.monotonic() - since > self._settings.lease_seconds:
            raise error
        self._stop.wait(_DATABASE_RETRY_SECONDS)

    def _report(self) -> None:
        self._fleet.report(
            self.id, self._self_description("draining" if self._stop.is_set() else "working")
        )

    def _say_goodbye(self) -> None:
        log.info("Completed processing. Stats: %s", self.stats.counts, extra=PLAIN)
        try:
            self._fleet.report(self.id, self._self_description("stopped"))
        except SttError as error:
            log.debug("%s", error)

    def _self_description(self, state: str) -> WorkerReport:
        host, _, pid = self.id.rpartition("_")
        return WorkerReport(
            host=host,
            pid=int(pid),
            version=stt.__version__,
            server=self._pool.urls,
            state=state,
            slots=self._pool.slots,
            chunks=tuple(str(claim.chunk.id) for claim in self._heartbeat.held()),
            counts=self.stats.counts,
        )

    def _plan_rules(self) -> PlanRules:
        return PlanRules(
            order=self._order,
            limit=self._options.limit,
            watch=self._options.watch,
            page_size=self._settings.page_size,
            sequence_seconds=self._settings.sequence_seconds,
        )


def _pool(settings: Settings) -> ServerPool:
    key = settings.api_key.get_secret_value() if settings.api_key else None
    limit = settings.parallel_limit
    urls = settings.server_urls or (_DEFAULT_SERVER,)
    return ServerPool([WhisperClient(url, key, settings.model, limit) for url in urls])
