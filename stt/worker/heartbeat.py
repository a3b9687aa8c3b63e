"""The thread that keeps a worker's claims alive, tells the fleet of it, and frees dead claims."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bson import ObjectId

from stt.domain.claim import Claim, Claims
from stt.errors import ClaimLost, DatabaseUnavailable, SttError
from stt.system.log_context import with_log_fields
from stt.worker.outage import Outage

logger = logging.getLogger(__name__)

REPORT_SECONDS = 20.0
"""Between two reports of a worker, unless its lease is shorter than four times that."""

_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Held:
    claim: Claim
    since: float  # on time.monotonic()


class _Duty:
    """Something done every so often, the first time after that."""

    def __init__(self, name: str, every_seconds: float, action: Callable[[], None]) -> None:
        self.name = name
        self.every_seconds = every_seconds
        self.action = action
        self.due = time.monotonic() + every_seconds


class Heartbeat:
    """Renews every held claim each quarter of the lease, between `start()` and `stop()`.

    A claim held longer than `chunk_timeout_seconds` is left to run out, so that a hung call
    cannot hold a chunk forever. Asking so often, it is also the first to know of an outage.
    """

    def __init__(
        self,
        claims: Claims,
        lease_seconds: float,
        chunk_timeout_seconds: float,
        report: Callable[[], None],
        outage: Outage,
        report_seconds: float = REPORT_SECONDS,
    ) -> None:
        self._claims = claims
        self._lease_seconds = lease_seconds
        self._chunk_timeout_seconds = chunk_timeout_seconds
        self._report = report
        self._outage = outage
        self._held: dict[ObjectId, _Held] = {}
        self._lock = threading.Lock()
        self._report_seconds = report_seconds
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        target = with_log_fields(self._run)
        self._thread = threading.Thread(target=target, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self, patience_seconds: float) -> None:
        """Waits no longer than that: a database that is away must not hold up the end."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(patience_seconds)

    def renew_now(self) -> None:
        """Renews at once, so that a claim that was taken away is known to be lost."""
        self._wake.set()

    def hold(self, claims: Sequence[Claim]) -> None:
        """Keeps these claims alive; holding a claim again starts its time in work anew."""
        with self._lock:
            self._held.update({c.id: _Held(c, time.monotonic()) for c in claims})

    def drop(self, claim: Claim) -> None:
        """No more renewals: the claim is about to end, or has run out."""
        with self._lock:
            self._held.pop(claim.id, None)

    def held(self) -> list[Claim]:
        with self._lock:
            return [held.claim for held in self._held.values()]

    def _run(self) -> None:
        duties = [
            _Duty("renew", self._lease_seconds / 4, self._renew_all),
            _Duty("report", min(self._report_seconds, self._lease_seconds / 4), self._report),
            _Duty("recover", self._lease_seconds, self._recover),
        ]
        while True:
            was_woken = self._wake.wait(max(0.0, min(d.due for d in duties) - time.monotonic()))
            if self._stop.is_set():
                return
            if was_woken:
                self._wake.clear()
                duties[0].due = time.monotonic()
            for duty in duties:
                if time.monotonic() >= duty.due and not self._stop.is_set():
                    self._do(duty)

    def _do(self, duty: "_Duty") -> None:
        """Tried again soon when the database is away."""
        asked_at = time.monotonic()
        wait = duty.every_seconds
        try:
            duty.action()
        except DatabaseUnavailable as error:
            wait = min(wait, _RETRY_SECONDS)
            if not self._stop.is_set():
                self._outage.record_failure(duty.name, error, asked_at)
        except SttError as error:
            self._outage.record_answer(duty.name)
            logger.warning("heartbeat: %s", error)
        except Exception:  # whatever it is, the claims of this worker must stay alive
            logger.exception("heartbeat")
        else:
            self._outage.record_answer(duty.name)
        duty.due = time.monotonic() + wait

    def _renew_all(self) -> None:
        with self._lock:
            held = list(self._held.values())
        for entry in held:
            claim = entry.claim
            if time.monotonic() - entry.since > self._chunk_timeout_seconds:
                logger.warning(
                    "chunk %s is too long in work: its claim runs out",
                    claim.chunk.id,
                    extra=claim.chunk.log_fields,
                )
                self.drop(claim)
                continue
            try:
                self._claims.renew(claim)
            except ClaimLost as lost:
                # Ending a claim and renewing it may cross: then it is not held any more.
                if claim in self.held():
                    logger.warning("%s", lost, extra=claim.chunk.log_fields)
                    claim.trusted_until = 0.0
                    self.drop(claim)

    def _recover(self) -> None:
        for stale in self._claims.recover():
            logger.warning("%s", stale, extra=stale.log_fields)
