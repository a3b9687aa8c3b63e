"""A worker's background thread: renew claims, report to the fleet, recover stale claims."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from bson import ObjectId

from stt.domain.claim import Claim, Claims, StaleClaim
from stt.errors import DatabaseUnavailable, SttError
from stt.system.log_context import with_log_fields
from stt.worker.outage import Outage

logger = logging.getLogger(__name__)

REPORT_SECONDS = 20.0
"""Time between two reports of a worker; a quarter of its lease if that is shorter."""

_RETRY_SECONDS = 1.0


class _Task:
    """An action that is repeated every `every_seconds`, for the first time after that time."""

    def __init__(self, name: str, every_seconds: float, action: Callable[[], None]) -> None:
        self.name = name
        self.every_seconds = every_seconds
        self.action = action
        self.due = time.monotonic() + every_seconds


class Heartbeat:
    """The thread that renews every held claim each quarter of the lease.

    A claim held longer than `chunk_timeout_seconds` is left to run out, so that a hung call
    cannot hold a chunk forever. It runs between `start()` and `stop()`.
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
        self._held: dict[ObjectId, tuple[Claim, float]] = {}  # since when, on time.monotonic()
        self._lock = threading.Lock()
        self._report_seconds = report_seconds
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        target = with_log_fields(self._run)
        self._thread = threading.Thread(target=target, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self, timeout_seconds: float) -> None:
        """End the thread; a database that is away holds this up no longer than the timeout."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_seconds)

    def renew_now(self) -> None:
        """Renew at once, so that a claim that was taken away is known to be lost."""
        self._wake.set()

    def hold(self, claims: Sequence[Claim]) -> None:
        """Renew these claims from now on; holding one again starts its time in work anew."""
        with self._lock:
            self._held.update({claim.id: (claim, time.monotonic()) for claim in claims})

    def drop(self, claim: Claim) -> None:
        """Renew this claim no more: it is about to end, or has run out."""
        with self._lock:
            self._held.pop(claim.id, None)

    def held(self) -> list[Claim]:
        with self._lock:
            return [claim for claim, _ in self._held.values()]

    def _run(self) -> None:
        tasks = [
            _Task("renew", self._lease_seconds / 4, self._renew_all),
            _Task("report", min(self._report_seconds, self._lease_seconds / 4), self._report),
            _Task("recover", self._lease_seconds, self._recover_stale),
            _Task("recover orphaned", self._report_seconds, self._recover_orphaned),
        ]
        while True:
            was_woken = self._wake.wait(max(0.0, min(d.due for d in tasks) - time.monotonic()))
            if self._stop.is_set():
                return
            if was_woken:
                self._wake.clear()
                tasks[0].due = time.monotonic()
            for task in tasks:
                if time.monotonic() >= task.due and not self._stop.is_set():
                    self._do(task)

    def _do(self, task: _Task) -> None:
        """Run a task; soon again if the database is away."""
        asked_at = time.monotonic()
        wait = task.every_seconds
        try:
            task.action()
        except DatabaseUnavailable as error:
            wait = min(wait, _RETRY_SECONDS)
            if not self._stop.is_set():
                self._outage.record_failure(task.name, error, asked_at)
        except SttError as error:
            self._outage.record_answer(task.name)
            logger.warning("heartbeat: %s", error)
        except Exception:  # any other must not end the renewals
            logger.exception("heartbeat")
        else:
            self._outage.record_answer(task.name)
        task.due = time.monotonic() + wait

    def _renew_all(self) -> None:
        with self._lock:
            held = list(self._held.values())
        to_renew = []
        for claim, since in held:
            if time.monotonic() - since <= self._chunk_timeout_seconds:
                to_renew.append(claim)
                continue
            logger.warning(
                "chunk %s takes too long: its claim runs out",
                claim.chunk.id,
                extra=claim.chunk.log_fields,
            )
            self.drop(claim)
        for claim in self._claims.renew_all(to_renew):
            # A claim may end while it is renewed: then it is not held any more.
            if claim in self.held():
                chunk = claim.chunk
                logger.warning("chunk %s is no longer ours", chunk.id, extra=chunk.log_fields)
                claim.trusted_until = 0.0
                self.drop(claim)

    def recover(self) -> None:
        """End the claims of workers that vanished, and log each."""
        self._recover_orphaned()
        self._recover_stale()

    def _recover_stale(self) -> None:
        _log(self._claims.recover())

    def _recover_orphaned(self) -> None:
        _log(self._claims.recover_orphaned())


def _log(freed: Iterable[StaleClaim]) -> None:
    for stale in freed:
        logger.warning("%s", stale, extra=stale.log_fields)
