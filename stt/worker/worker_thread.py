"""A thread of a worker: it takes one run of chunks at a time from the queue to its result."""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace

from stt import errors
from stt.domain.backoff import backoff_seconds
from stt.domain.chunk import Chunk, ChunkRun
from stt.domain.claim import Claim
from stt.domain.transcript import Transcript
from stt.system.log_context import log_fields
from stt.worker.context import WorkerContext
from stt.worker.transcriber import Outcome

logger = logging.getLogger(__name__)

_DATABASE_RETRY_SECONDS = 1.0
_SHUTDOWN_SECONDS = 5.0
_MAX_AUDIO_RETRY_SECONDS = 30.0
_MAX_LEFT_ALONE = 20
_ANY_THREAD = "any"


class WorkerThread(threading.Thread):
    """page → claim → load → call → write, until the worker stops.

    A claim belongs to its thread until it has ended, or until `abandon` takes it away. One lock
    decides between the two: so a second signal can release a call that hangs, and never a result.
    """

    def __init__(self, context: WorkerContext, number: int) -> None:
        super().__init__(name=f"worker-{number}", daemon=True)
        self.error: BaseException | None = None
        """What ended the thread before its time."""
        self.waits_for_server = False
        self._context = context
        self._lock = threading.Lock()
        self._open: list[Claim] = []  # claimed by this thread, and not ended yet
        self._in_call: Sequence[Claim] = ()
        self._call_began = 0.0  # on time.monotonic()
        self._run_began = 0.0  # on time.monotonic()
        self._asked_at = 0.0  # on time.monotonic(): its latest request of the queue
        self._results: list[Claim] = []  # those whose results are known and not written yet
        self._is_abandoned = False

    @property
    def is_busy(self) -> bool:
        return bool(self._open)

    @property
    def call(self) -> tuple[Sequence[Claim], float] | None:
        """The claims of the call in flight, which cannot be cancelled, and the seconds it takes."""
        claims, began = self._in_call, self._call_began
        return (claims, time.monotonic() - began) if claims else None

    @property
    def results(self) -> int:
        """How many results are known and not written yet."""
        return len(self._results)

    def abandon(self) -> list[Claim]:
        """Take its claims away from the thread, for the caller to end.

        A thread that has results to write keeps them, and all its claims.
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
                    except errors.AudioStoreUnavailable as error:
                        self._wait_for_audio(error)
                    except errors.DatabaseUnavailable as error:
                        self._wait_for_database(error)
        except BaseException as error:
            self.error = error

    def _step(self) -> None:
        """Work on one run of chunks, or wait once."""
        context = self._context
        self._asked_at = time.monotonic()
        plan = context.planner.next()
        context.outage.record_answer(self.name)  # a page from before an outage was dropped
        if not isinstance(plan, tuple):
            if context.planner.is_idle:
                context.audio_outage.forget()
            context.stop.wait(plan)
            return
        self.waits_for_server = True
        context.pool.wait_until_available(context.stop)  # an error of it ends the worker
        self.waits_for_server = False
        with log_fields(recording=plan[0].recording_id):
            self._work_on(plan)

    def _wait_for_database(self, error: errors.DatabaseUnavailable) -> None:
        if not self._context.stop.is_set():
            self._context.outage.record_failure(self.name, error, self._asked_at)
            self._context.planner.forget_page()
            self._context.stop.wait(_DATABASE_RETRY_SECONDS)

    def _wait_for_audio(self, error: errors.AudioStoreUnavailable) -> None:
        """Wait before the next claim, the longer the store is away; an answer to any thread counts.

        The chunks were released: another worker may reach the store.
        """
        if not self._context.stop.is_set():
            outage = self._context.audio_outage
            outage.record_failure(_ANY_THREAD, error, self._asked_at)
            wait_seconds = min(outage.seconds / 4, _MAX_AUDIO_RETRY_SECONDS)
            self._context.stop.wait(max(wait_seconds, _DATABASE_RETRY_SECONDS))

    def _work_on(self, run: ChunkRun) -> None:
        unspent, self._run_began = len(run), time.monotonic()
        transcribe = self._context.transcriber.transcribe
        try:
            self._claim(run)
            if self._context.stop.is_set():
                return
            for claim, outcome in transcribe(list(self._open), self._may_start):
                if not self._may_end(claim):
                    return
                with log_fields(**claim.chunk.log_fields):
                    unspent -= self._end(claim, outcome)
                self._forget(claim)
        except errors.ServerUnavailable as error:
            logger.debug("%s", error)  # the pool logs it once, and the thread waits for a server
            if isinstance(error, errors.ModelMissing):  # the next page will be without its chunks
                self._context.planner.forget_page()
        finally:
            self._release_rest()
            self._context.planner.ended(run, unspent=unspent)
            self._context.run_log.progress()

    def _claim(self, run: ChunkRun) -> None:
        """Claim chunks in order, up to the first that another worker was first at."""
        missed = False
        try:
            for wanted in run:
                if self._context.stop.is_set():
                    return
                self._asked_at = time.monotonic()
                claim = self._context.claims.claim(wanted)
                if claim is None:
                    missed = True
                    self._log_miss(run)
                    return
                failed_since = bool(self._open) and claim.chunk.has_failed_before
                if failed_since or not self._keep(claim):
                    self._context.release([claim])
                    return
                if claim.chunk.has_failed_before:
                    return
        except errors.DatabaseRefused as refused:
            self._exclude(wanted, refused)
            self._context.stats.failed(wanted)
        finally:
            self._context.planner.claimed(run, missed=missed)

    def _keep(self, claim: Claim) -> bool:
        """Add a claim to those of this thread; False if the thread was abandoned meanwhile."""
        with self._lock:
            if not self._is_abandoned:
                self._context.heartbeat.hold([claim])
                self._open.append(claim)
        self._context.conditions.worked()
        return not self._is_abandoned

    def _log_miss(self, run: ChunkRun) -> None:
        self._context.stats.add("skipped")
        message = "len %d chunks  OriginalId %s  already claimed by another worker"
        logger.info(message, len(run), run[0].recording_id)

    def _may_start(self, claims: Sequence[Claim]) -> bool:
        """Return whether a call with these claims may begin, or be waited for any longer."""
        self._context.audio_outage.record_answer(_ANY_THREAD)
        with self._lock:
            if self._context.stop.is_set() or not all(claim.is_trusted for claim in claims):
                return False
            self._context.heartbeat.hold(claims)
            self._call_began = self._asked_at = time.monotonic()
            self._in_call = claims
        return True

    def _may_end(self, claim: Claim) -> bool:
        """Return whether this thread may write a result; False if it was abandoned in the call."""
        with self._lock:
            if not self._results:
                self._results = list(self._in_call) if claim in self._in_call else [claim]
            if (call := self.call) is not None:
                self._context.stats.answered((one.chunk for one in call[0]), call[1])
            self._in_call = ()
            if self._is_abandoned:
                self._results = []
        return not self._is_abandoned

    def _end(self, claim: Claim, outcome: Outcome) -> bool:
        """Write how the chunk ended; False if the claim was lost, or released without charge."""
        context = self._context
        context.heartbeat.drop(claim)
        self._asked_at = time.monotonic()
        try:
            if isinstance(outcome, Transcript):
                try:
                    context.claims.complete(claim, replace(outcome, worker=context.worker))
                except errors.DatabaseRefused as refused:
                    outcome = refused
                else:
                    ending = "transcribed" if outcome.segments else "empty"
                    context.stats.succeeded(claim.chunk, ending)
                    logger.debug("chunk %s: %s", claim.chunk.id, ending)
                    context.run_log.completed(outcome, time.monotonic() - self._run_began)
                    return True
            if isinstance(outcome, errors.AudioNotAllowed):
                self._leave_alone(claim, outcome)
                return True
            if isinstance(outcome, errors.ServerDied) and not claim.chunk.isolated:
                # There were others in its call, or beside it: any of them may be the cause.
                context.release([claim], isolated=True)
                return False
            self._fail(claim, outcome)
        except errors.ClaimLost as lost:
            context.stats.add("skipped")
            logger.warning("%s: its result is dropped", lost)
            return False
        return True

    def _fail(self, claim: Claim, outcome: errors.ChunkError) -> None:
        context, failed = self._context, claim.chunk
        fields = {"server": outcome.server}
        name = f"{failed.id} (no. {failed.index} of {failed.recording_id})"
        try:
            context.claims.fail(claim, outcome.kind, str(outcome), server=outcome.server)
        except errors.DatabaseRefused as refused:
            logger.warning("chunk %s failed: %s", name, outcome, extra=fields)
            self._exclude(failed, refused)
            context.release([claim])
            context.stats.failed(failed)
        else:
            is_last_try = failed.attempts + 1 >= context.max_attempts
            context.stats.failed(failed, is_last_try=is_last_try)
            fate = _fate(failed.attempts + 1, context.max_attempts)
            logger.warning("chunk %s failed, %s: %s", name, fate, outcome, extra=fields)

    def _leave_alone(self, claim: Claim, reason: errors.AudioNotAllowed) -> None:
        """Leave a chunk to workers that may read its audio. Raise AudioStoreRefused for many.

        One odd document stops no worker; a queue of them does, for it is not set up for them.
        """
        context, chunk = self._context, claim.chunk
        context.planner.exclude(chunk.id)
        context.release([claim])
        context.stats.failed(chunk)
        message = "chunk %s is left alone, and not charged: %s"
        logger.warning(message, chunk.id, reason, extra=chunk.log_fields)
        if next(context.left_alone) >= _MAX_LEFT_ALONE:
            raise errors.AudioStoreRefused(f"{_MAX_LEFT_ALONE} chunks were left alone: {reason}")

    def _exclude(self, full: Chunk, refused: errors.DatabaseRefused) -> None:
        message = "chunk %s cannot be written to, and is left alone: %s"
        logger.error(message, full.id, refused, extra=full.log_fields)
        self._context.planner.exclude(full.id)

    def _forget(self, claim: Claim) -> None:
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
            if self._context.stop.is_set():  # a worker that stops does not wait for the database
                deadline = time.monotonic() + _SHUTDOWN_SECONDS
                claim.trusted_until = min(claim.trusted_until, deadline)
        self._context.release(rest)


def _fate(attempts: int, max_attempts: int) -> str:
    """Describe what becomes of a chunk that has failed for the `attempts`-th time."""
    if attempts >= max_attempts:
        return f"set aside after {attempts} of {max_attempts} tries (stt retry brings it back)"
    return f"try {attempts} of {max_attempts}, again in {backoff_seconds(attempts):g} s"
