"""A lane of a worker: a thread that takes one sequence at a time through the whole path."""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from stt.domain import chunk
from stt.domain.backoff import backoff_seconds
from stt.domain.claim import Claim, Claims
from stt.domain.transcript import Transcript
from stt.errors import (
    ChunkError,
    ClaimLost,
    DatabaseRefused,
    DatabaseUnavailable,
    ServerDied,
    ServerUnavailable,
)
from stt.system.log_context import log_fields
from stt.whisper.pool import ServerPool
from stt.worker.heartbeat import Heartbeat
from stt.worker.outage import Outage
from stt.worker.planner import Planner, Wait
from stt.worker.stats import Stats
from stt.worker.stop_conditions import StopConditions
from stt.worker.transcriber import Outcome, Transcriber

logger = logging.getLogger(__name__)

_DATABASE_RETRY_SECONDS = 1.0
_SHUTDOWN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What all lanes of a worker have in common; `worker` is its id, `stop` ends every lane.

    Once `is_over` the worker has said goodbye, and a lane that it has left behind says no more.
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


class WorkerThread(threading.Thread):
    """page → claim → load → call → settle, until told to stop.

    A claim belongs to its lane until it has ended, or until `abandon` takes it away; that one
    lock decides between the two is what lets a second signal release a call that hangs, and never
    a result.
    """

    def __init__(self, context: WorkerContext, number: int) -> None:
        super().__init__(name=f"lane-{number}", daemon=True)
        self.error: BaseException | None = None
        """What ended the lane before its time."""
        self.waits_for_server = False
        self._context = context
        self._lock = threading.Lock()
        self._open: list[Claim] = []  # claimed by this lane, and not ended yet
        self._in_call: Sequence[Claim] = ()
        self._call_began = 0.0  # on time.monotonic()
        self._results: list[Claim] = []  # those whose results are known and not written yet
        self._is_abandoned = False

    @property
    def is_busy(self) -> bool:
        return bool(self._open)

    @property
    def is_in_call(self) -> bool:
        """True while it waits for a server's answer, which cannot be called off."""
        return bool(self._in_call)

    @property
    def call(self) -> tuple[Sequence[Claim], float] | None:
        """The claims of the call that it waits for, and for how many seconds already."""
        claims, began = self._in_call, self._call_began
        return (claims, time.monotonic() - began) if claims else None

    @property
    def results(self) -> int:
        """How many results are known and not written yet."""
        return len(self._results)

    def abandon(self) -> list[Claim]:
        """Takes its claims away from the lane, for the caller to end; it touches them no more.

        A lane that has results to write keeps them, and all its claims.
        """
        with self._lock:
            if self._results:
                return []
            self._is_abandoned = True
            taken, self._open = self._open, []
        return taken

    def run(self) -> None:
        try:
            with log_fields(worker=self._context.worker):
                while not self._context.stop.is_set():
                    try:
                        self._step()
                    except DatabaseUnavailable as error:
                        self._wait_for_database(error)
        except BaseException as error:
            self.error = error

    def _step(self) -> None:
        """One sequence, or one wait."""
        plan = self._context.planner.next()
        self._context.outage.record_answer(
            self.name
        )  # for a page from before an outage is forgotten
        if isinstance(plan, Wait):
            self._context.stop.wait(plan.seconds)
            return
        self.waits_for_server = True
        self._context.pool.wait_until_available(self._context.stop)  # if it raises, all is over
        self.waits_for_server = False
        with log_fields(recording=plan[0].recording_id):
            self._work_on(plan)

    def _wait_for_database(self, error: DatabaseUnavailable) -> None:
        if not self._context.stop.is_set():
            self._context.outage.record_failure(self.name, error, time.monotonic())
            self._context.planner.forget_page()
            self._context.stop.wait(_DATABASE_RETRY_SECONDS)

    def _work_on(self, sequence: chunk.Sequence) -> None:
        unspent = len(sequence)
        try:
            self._claim(sequence)
            if self._context.stop.is_set():
                return
            load = self._context.transcriber.load(list(self._open))
            for claim, outcome in self._context.transcriber.transcribe(load, self._may_start):
                if not self._may_settle(claim):
                    return
                with log_fields(**claim.chunk.log_fields):
                    unspent -= self._settle(claim, outcome)
                self._ended(claim)
        except ServerUnavailable as error:
            logger.debug("%s", error)  # the pool says it once, and the lane waits for a server
        finally:
            self._release_rest()
            self._context.planner.ended(unspent=unspent)

    def _claim(self, sequence: chunk.Sequence) -> None:
        """Claims in order, up to the first chunk that is not to be had."""
        missed = False
        try:
            for wanted in sequence:
                if self._context.stop.is_set():
                    return
                claim = self._context.claims.claim(wanted)
                if claim is None:
                    missed = True
                    self._log_miss(sequence)
                    return
                failed_since = bool(self._open) and claim.chunk.has_failed_before
                if failed_since or not self._keep(claim):
                    release_all(self._context.claims, [claim], self._context.is_over)
                    return
                if claim.chunk.has_failed_before:
                    return
        except DatabaseRefused as refused:
            self._exclude(wanted, refused)
            self._context.stats.failed(wanted.id)
        finally:
            self._context.planner.claimed(sequence, missed=missed)

    def _keep(self, claim: Claim) -> bool:
        """False if the lane was abandoned while it asked."""
        with self._lock:
            if not self._is_abandoned:
                self._context.heartbeat.hold([claim])
                self._open.append(claim)
        self._context.conditions.worked()
        return not self._is_abandoned

    def _log_miss(self, sequence: chunk.Sequence) -> None:
        self._context.stats.add("skipped")
        logger.info(
            "len %d chunks  OriginalId %s  already claimed by another worker",
            len(sequence),
            sequence[0].recording_id,
        )

    def _may_start(self, claims: Sequence[Claim]) -> bool:
        """Asked by the pipeline before each call, and while it waits for one to begin."""
        with self._lock:
            if self._context.stop.is_set() or not all(claim.is_trusted for claim in claims):
                return False
            self._context.heartbeat.hold(claims)
            self._call_began = time.monotonic()
            self._in_call = claims
        return True

    def _may_settle(self, claim: Claim) -> bool:
        """The call is over; False if its claims were released in the meantime."""
        with self._lock:
            if not self._results:
                self._results = list(self._in_call) if claim in self._in_call else [claim]
            self._in_call = ()
            if self._is_abandoned:
                self._results = []
        return not self._is_abandoned

    def _settle(self, claim: Claim, outcome: Outcome) -> bool:
        """Writes how the chunk ended; False if that was not ours to write any more."""
        self._context.heartbeat.drop(claim)
        try:
            if isinstance(outcome, Transcript):
                try:
                    self._context.claims.complete(
                        claim, replace(outcome, worker=self._context.worker)
                    )
                except DatabaseRefused as refused:
                    outcome = refused
                else:
                    ending = "transcribed" if outcome.segments else "empty"
                    self._context.stats.succeeded(claim.chunk.id, ending)
                    return True
            if isinstance(outcome, ServerDied) and not claim.chunk.isolated:
                # It had company, in its call or beside it: nobody knows whose fault it was.
                release_all(self._context.claims, [claim], self._context.is_over, isolated=True)
                return False
            self._fail(claim, outcome)
        except ClaimLost as lost:
            self._context.stats.add("skipped")
            logger.warning("%s: its result is dropped", lost)
            return False
        self._context.stats.failed(claim.chunk.id)
        return True

    def _fail(self, claim: Claim, outcome: ChunkError) -> None:
        context, failed = self._context, claim.chunk
        name = f"{failed.id} (no. {failed.index} of {failed.recording_id})"
        try:
            context.claims.fail(claim, outcome.kind, str(outcome), server=outcome.server)
        except DatabaseRefused as refused:
            logger.warning("chunk %s failed: %s", name, outcome, extra={"server": outcome.server})
            self._exclude(failed, refused)
            release_all(context.claims, [claim], context.is_over)
        else:
            fate = _fate(failed.attempts + 1, context.max_attempts)
            logger.warning(
                "chunk %s failed, %s: %s", name, fate, outcome, extra={"server": outcome.server}
            )

    def _exclude(self, full: chunk.Chunk, refused: DatabaseRefused) -> None:
        logger.error(
            "chunk %s cannot be written to, and is left alone: %s",
            full.id,
            refused,
            extra=full.log_fields,
        )
        self._context.planner.exclude(full.id)

    def _ended(self, claim: Claim) -> None:
        with self._lock:
            self._open.remove(claim)
            self._results.remove(claim)
        self._context.conditions.worked()

    def _release_rest(self) -> None:
        with self._lock:
            rest, self._open = self._open, []
            unwritten, self._results = len(self._results), []
            self._in_call = ()
        if unwritten and not self._context.is_over.is_set():
            logger.warning("%d finished result(s) could not be written in time: dropped", unwritten)
        for claim in rest:
            self._context.heartbeat.drop(claim)
            if self._context.stop.is_set():  # who is told to go does not wait for the database
                patient_until = time.monotonic() + _SHUTDOWN_SECONDS
                claim.trusted_until = min(claim.trusted_until, patient_until)
        release_all(self._context.claims, rest, self._context.is_over)


def _fate(attempts: int, max_attempts: int) -> str:
    """What becomes of a chunk that has failed for the `attempts`-th time."""
    if attempts >= max_attempts:
        return f"set aside after {attempts} of {max_attempts} tries (stt retry brings it back)"
    return f"try {attempts} of {max_attempts}, again in {backoff_seconds(attempts):g} s"


def release_all(
    claims: Claims, held: Sequence[Claim], is_over: threading.Event, *, isolated: bool = False
) -> int:
    """Frees the chunks, and returns how many.

    Those that the database cannot free, or that it does not reach, are left to their lease; the
    log says so unless the worker `is_over`.
    """
    released = 0
    for at, claim in enumerate(held):
        try:
            claims.release(claim, isolated=isolated)
            released += 1
        except ClaimLost:
            pass
        except DatabaseRefused as error:
            logger.error(
                "chunk %s is left to its lease: %s",
                claim.chunk.id,
                error,
                extra=claim.chunk.log_fields,
            )
        except DatabaseUnavailable as error:
            if not is_over.is_set():
                logger.warning("%d chunk(s) left to their lease: %s", len(held) - at, error)
            break
    return released
