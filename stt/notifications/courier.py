"""A thread that records and delivers the notifications of one destination."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from bson import ObjectId

from stt.domain.notification import LEASE_SECONDS, DeliveryFailure, Notification
from stt.errors import SttError
from stt.notifications.message import message_of
from stt.store.notifications import RECORD_SECONDS, Outbox

logger = logging.getLogger(__name__)

_RENEW_SECONDS = LEASE_SECONDS / 4
_RETRY_SECONDS = 1.0
_MAX_REST_SECONDS = 60.0


class Deliverer(Protocol):
    """A webhook or a command. `rests`: if it fails once, the next event would fail as well."""

    @property
    def key(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def rests(self) -> bool: ...
    def deliver(
        self, notification: Notification, hold: Callable[[], bool]
    ) -> DeliveryFailure | None: ...


class Courier(threading.Thread):
    """Delivers to one destination; of these recordings alone, and once they are done, if any are.

    After `finish` it makes a last round and ends; after `close` it ends as soon as it can.
    """

    def __init__(
        self, outbox: Outbox, deliverer: Deliverer, recordings: Sequence[ObjectId] | None = None
    ) -> None:
        super().__init__(name=f"notify {deliverer.key}", daemon=True)
        self._outbox, self._deliverer, self._recordings = outbox, deliverer, recordings
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._ended = threading.Event()
        self._must_open = True
        self._failures = 0
        self._rests_until = 0.0  # on time.monotonic()

    def open(self) -> None:
        """Begin to look for what ends from now on. Raise DatabaseUnavailable."""
        self._outbox.open()
        if self._recordings is None:
            self._outbox.begin()
        self._must_open = False

    def finish(self) -> None:
        self._wake.set()

    def close(self) -> None:
        self._closing.set()
        self._wake.set()

    def wait(self, seconds: float | None) -> None:
        """Wait until it has ended. Not `join`: one that Ctrl-C broke off makes the next return."""
        self._ended.wait(seconds)

    def run(self) -> None:
        try:
            self._run()
        finally:
            self._ended.set()

    def _run(self) -> None:
        while not self._wake.wait(RECORD_SECONDS):
            if self._recordings is None:
                self._try(self._round)
        if not self._closing.is_set():
            self._try(self._last_round)

    def _try(self, action: Callable[[], None]) -> None:
        try:
            if self._must_open:
                self.open()
            action()
        except SttError as error:  # the next round, or another process, goes on
            logger.debug("notifications: %s", error)
        except Exception:
            logger.exception("notifications")

    def _round(self) -> None:
        self._outbox.record()
        self._deliver()

    def _last_round(self) -> None:
        if self._recordings is None:
            self._outbox.record(at_once=True)
            self._deliver()
        else:
            self._deliver(self._outbox.record_of(self._recordings))

    def _deliver(self, ids: Collection[str] | None = None) -> None:
        """Deliver what is due, until the destination fails."""
        while due := list(self._outbox.due(ids)):
            for id_ in due:
                if self._closing.is_set() or time.monotonic() < self._rests_until:
                    return
                notification = self._outbox.claim(id_)
                if notification is not None:
                    failure = self._deliverer.deliver(notification, self._hold(notification))
                    self._record_outcome(notification, failure)

    def _hold(self, notification: Notification) -> Callable[[], bool]:
        """Return what renews the claim, called again and again; it returns False to end it."""
        renewed_at = time.monotonic()

        def hold() -> bool:
            nonlocal renewed_at
            if time.monotonic() - renewed_at > _RENEW_SECONDS:
                renewed_at = time.monotonic()
                self._try(lambda: self._outbox.renew(notification))
            return not self._closing.is_set()

        return hold

    def _record_outcome(self, notification: Notification, failure: DeliveryFailure | None) -> None:
        """Write how a delivery ended, for as long as its lease lasts; and rest after a failure."""
        deadline = time.monotonic() + LEASE_SECONDS
        while True:
            try:
                if failure is None:
                    self._outbox.delivered(notification)
                    self._failures = 0
                else:
                    self._log(notification, failure, self._outbox.failed(notification, failure))
            except SttError:
                if time.monotonic() > deadline or self._closing.wait(_RETRY_SECONDS):
                    raise
            else:
                break
        if failure is not None and self._deliverer.rests:
            self._failures += 1
            rest_seconds = min(2.0**self._failures, _MAX_REST_SECONDS)
            self._rests_until = time.monotonic() + rest_seconds

    def _log(
        self, notification: Notification, failure: DeliveryFailure, wait: float | None
    ) -> None:
        title = message_of(notification.body).title
        then = "it is given up" if wait is None else f"tried again in {wait:.0f} s"
        if wait is not None and self._wake.is_set():  # this process ends
            then = "tried again by the next worker or command that notifies"
        logger.warning(
            "Notifying %s failed: %s (%s): %s", self._deliverer.name, failure.reason, title, then
        )
