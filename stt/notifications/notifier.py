"""Notify all destinations of the settings while a block of code runs."""

import logging
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType

from bson import ObjectId

from stt.errors import SttError
from stt.notifications.command import Command
from stt.notifications.courier import Courier, Deliverer
from stt.notifications.webhook import Webhook
from stt.settings import Settings
from stt.store.database import Database
from stt.store.notifications import Destination, Outbox

logger = logging.getLogger(__name__)

_FINISH_SECONDS = 12.0
"""A webhook has so long at the end of the program: longer than one request may take."""
_CLOSE_SECONDS = 3.0


class Notifier(AbstractContextManager["Notifier"]):
    """Threads that notify, for each destination one.

    With `recordings` the command is run at the end of the block, for those alone that it then
    holds. What is due then is delivered, but not after an exception, nor without `finishes`:
    another process does it, as for what fails.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        recordings: Sequence[ObjectId] | None = None,
        *,
        finishes: bool = True,
    ) -> None:
        self._finishes = finishes
        self._couriers = [
            (deliverer, Courier(_outbox(database, settings, deliverer), deliverer, only))
            for deliverer in deliverers_of(settings)
            for only in [recordings if isinstance(deliverer, Command) else None]
        ]

    def __enter__(self) -> "Notifier":
        for _, courier in self._couriers:
            try:
                courier.open()
            except SttError as error:  # its thread tries again
                logger.debug("notifications: %s", error)
            courier.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None and self._finishes:
                self._finish()
        finally:
            for _, courier in self._couriers:
                courier.close()
            deadline = time.monotonic() + _CLOSE_SECONDS
            for _, courier in self._couriers:
                courier.wait(max(0.0, deadline - time.monotonic()))

    def _finish(self) -> None:
        for _, courier in self._couriers:
            courier.finish()
        deadline = time.monotonic() + _FINISH_SECONDS
        for deliverer, courier in self._couriers:
            # A command is waited for: it would be ended, and run again by another process.
            is_command = isinstance(deliverer, Command)
            courier.wait(None if is_command else max(0.0, deadline - time.monotonic()))


def deliverers_of(settings: Settings) -> list[Deliverer]:
    """Return the destinations of the settings, each once."""
    secret = settings.on_done_secret
    key = secret.get_secret_value() if secret else None
    found: list[Deliverer] = [Webhook.of(url.get_secret_value(), key) for url in settings.on_done]
    if settings.on_done_command:
        found.append(Command(settings.on_done_command))
    return list({deliverer.key: deliverer for deliverer in found}.values())


def _outbox(database: Database, settings: Settings, deliverer: Deliverer) -> Outbox:
    destination = Destination(
        deliverer.key, deliverer.name, settings.on_done_events, settings.public_url
    )
    return Outbox(database, destination)
