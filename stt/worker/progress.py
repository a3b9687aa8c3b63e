"""What a worker's run has done and has left, counted anew while it is shown."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from stt.domain.claim import Claim, Order, Pending, Queue
from stt.domain.progress import Progress
from stt.errors import SttError
from stt.system.log_context import PLAIN, with_log_fields
from stt.worker.arrivals import Arrivals
from stt.worker.stats import Stats

logger = logging.getLogger(__name__)

_CHECK_SECONDS = 0.2
_COUNT_SECONDS, _GROWING_SECONDS = 5.0, 1.0
_REST_FACTOR = 50.0
"""A count rests so many times as long as it took; of several workers each rests as much longer."""
_SHOWN_SECONDS = 2.0
_USUAL_SPEED = 2.0
"""Times real time of all calls together until one is measured; slow machines reach about that."""
_SURE_SHARE, _MOST_SHARE = 0.8, 0.99

Call = tuple[Sequence[Claim], float]


@dataclass(frozen=True, slots=True)
class RunView:
    """What a counter reads of its worker: functions that do not block.

    `threads`: each may claim or write one chunk at the moment, which is then neither pending nor
    in flight nor finished. `is_dry`: nothing is left to claim. `stays`: the run has no end.
    `arrivals`: its recordings, if they come meanwhile. `calls`: the claims of each call in flight,
    and the seconds that it takes so far.
    """

    stats: Stats
    in_flight: Callable[[], Sequence[Claim]]
    threads: Callable[[], int]
    is_dry: Callable[[], bool]
    stays: bool
    arrivals: Arrivals | None = None
    calls: Callable[[], Sequence[Call]] = tuple

    @property
    def is_growing(self) -> bool:
        return self.arrivals is not None and not self.arrivals.has_ended


class ProgressCounter:
    """Counts the pending chunks of a run in a thread of its own, however long that takes.

    The progress of a run that stays begins anew whenever nothing is left to do.
    """

    def __init__(self, queue: Queue, order: Order, limit: int | None, run: RunView) -> None:
        self.total: int | None = None
        """Chunks of the run, with those that other workers do; None until they are counted."""
        self._total_seconds: float | None = None
        self._queue = queue
        self._order = order
        self._limit = limit
        self._run = run
        self._elsewhere = 0
        self._pending = 0
        self._base = 0, 0.0  # what was finished when nothing was left to do
        self._shown_at = float("-inf")
        self._shown_seconds = 0.0
        self._is_over = threading.Event()

    def start(self, wait_seconds: float) -> None:
        """Begin; wait so long for the first count, so that its log line may come first."""
        counted = threading.Event()
        target = with_log_fields(lambda: self._count_until_over(counted))
        threading.Thread(target=target, name="count", daemon=True).start()
        counted.wait(wait_seconds)

    def stop(self) -> None:
        self._is_over.set()

    def progress(self, *, is_ending: bool, waits_for: str) -> Progress:
        """Return the progress now. The queue is counted again only while this is called."""
        self._shown_at = time.monotonic()
        finished, seconds = self._finished()
        held = self._run.in_flight()
        total, total_seconds = self.total, self._total_seconds
        mean = total_seconds / total if total and total_seconds is not None else 0.0
        done, done_seconds = finished + self._elsewhere, seconds + self._elsewhere * mean
        held_seconds = sum(claim.chunk.recording_seconds for claim in held)
        if is_ending:
            total, total_seconds = done + len(held), done_seconds + held_seconds
        return Progress(
            done=done,
            total=None if total is None else max(total, done + len(held)),
            errors=self._run.stats.errors,
            in_flight=len(held),
            is_ending=is_ending,
            done_seconds=done_seconds,
            total_seconds=None
            if total_seconds is None
            else max(total_seconds, done_seconds + held_seconds),
            elsewhere=self._elsewhere,
            waits_for=waits_for,
            is_growing=self._run.is_growing,
            expected_seconds=self._expected_seconds(done_seconds),
        )

    def _expected_seconds(self, done_seconds: float) -> float:
        """Return what the calls in flight have probably done; with `done_seconds` it only grows.

        That is so also when the first call is slower than expected. What a call that fails has
        counted is gone.
        """
        stats, calls = self._run.stats, self._run.calls()
        is_measured = stats.call_seconds > 0 and stats.call_audio_seconds > 0
        speed = (
            stats.call_audio_seconds / stats.call_seconds
            if is_measured
            else _USUAL_SPEED / max(1, len(calls))
        )
        lengths = [sum(claim.chunk.recording_seconds for claim in claims) for claims, _ in calls]
        expected = sum(
            length * _likely_share(seconds * speed / length)
            for length, (_, seconds) in zip(lengths, calls, strict=True)
            if length
        )
        most = _MOST_SHARE * sum(lengths)
        expected = max(expected, min(self._shown_seconds - done_seconds, most))
        self._shown_seconds = done_seconds + expected
        return expected

    def _finished(self) -> tuple[int, float]:
        """Return the chunks and seconds that this run has finished since its progress began."""
        stats, (chunks, seconds) = self._run.stats, self._base
        return stats.finished - chunks, stats.seconds - seconds

    def _begun(self) -> int:
        return self._finished()[0] + len(self._run.in_flight())

    def _count_until_over(self, counted: threading.Event) -> None:
        is_first, was_dry, rests_until = True, False, 0.0
        was_growing = self._run.is_growing
        while not self._is_over.is_set():
            now, is_dry = time.monotonic(), self._run.is_dry()
            is_growing = self._run.is_growing
            has_changed = (is_dry and not was_dry) or (was_growing and not is_growing)
            is_shown = now - self._shown_at < _SHOWN_SECONDS
            if is_first or (is_shown and (now >= rests_until or has_changed)):
                self._count()
                was_growing = is_growing
                least = _GROWING_SECONDS if is_growing else _COUNT_SECONDS
                rest = max(least, _REST_FACTOR * (time.monotonic() - now))
                # The first time, this worker has not reported itself yet.
                rests_until = time.monotonic() + rest * (1 if is_first else self._workers())
                was_dry = is_dry
                if is_first and self.total is not None and not self._is_over.is_set():
                    logger.info("Total pending chunks: %d", self._pending, extra=PLAIN)
                counted.set()
                is_first = False
            self._is_over.wait(_CHECK_SECONDS)

    def _workers(self) -> int:
        try:
            return self._queue.roster.workers_alive()
        except SttError:
            return 1

    def _count(self) -> None:
        begun = self._begun()
        try:
            order = self._order
            if self._run.arrivals is not None:
                order = replace(order, recordings=self._run.arrivals.recordings)
            pending = self._queue.claims.pending(order)
            self._pending = pending.chunks
            self._found(pending, sorted((begun, self._begun())))
        except SttError as error:
            logger.debug("the pending chunks could not be counted: %s", error)

    def _found(self, pending: Pending, begun: Sequence[int]) -> None:
        """Note what is pending: what is not begun here either has gone to other workers."""
        least, most = pending.chunks + begun[0], pending.chunks + begun[-1] + self._run.threads()
        before = self.total
        if before:
            self._elsewhere += max(0, before - self._elsewhere - most)
            total = max(before, least + self._elsewhere)
        else:
            before = total = least
            self._total_seconds = pending.seconds
        if self._limit is not None:
            total = min(total, self._limit)
        if self._run.arrivals is not None and pending.seconds is not None and not self._elsewhere:
            held = sum(claim.chunk.recording_seconds for claim in self._run.in_flight())
            known = self._finished()[1] + held + pending.seconds
            self._total_seconds = max(self._total_seconds or 0.0, known)
        elif self._total_seconds is not None and before:
            self._total_seconds *= total / before
        self.total = total
        if self._run.stays and not pending.chunks and not self._run.in_flight():
            self._base = self._run.stats.finished, self._run.stats.seconds
            self.total, self._total_seconds, self._elsewhere = 0, 0.0, 0
            self._shown_seconds = 0.0


def _likely_share(expected: float) -> float:
    """Return the share of a call that is probably done, from the one that was expected by now.

    It is the same up to `_SURE_SHARE`, and comes nearer and nearer to all of it afterwards.
    """
    if expected <= _SURE_SHARE:
        return expected
    rest = 1 - _SURE_SHARE
    return min(_MOST_SHARE, 1 - rest**2 / (expected + rest - _SURE_SHARE))
