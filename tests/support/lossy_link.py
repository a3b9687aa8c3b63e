"""Fail points of the database server, and what happens between a write and its repeat."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from unittest import mock

import pymongo
from pymongo.errors import OperationFailure
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from stt.store.database import Database, Document
from tests.support.mongo_process import missing

WRITES = ("findAndModify", "update")
WRITTEN_BUT_UNACKNOWLEDGED: Document = {"writeConcernError": {"code": 64, "errmsg": "timed out"}}


@contextmanager
def failing(
    client: pymongo.MongoClient[Document], mode: Document | str, **data: object
) -> Iterator[None]:
    """The server fails commands as `data` says; skips where it has no fail points."""
    try:
        client.admin.command({"configureFailPoint": "failCommand", "mode": mode, "data": data})
    except OperationFailure as refused:
        missing(f"fail points: {refused}")
    try:
        yield
    finally:
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


class LossyLink(CommandListener):
    """The way from one `Database` to its server, on which replies can go wrong."""

    def __init__(self, url: str, name: str) -> None:
        watched = partial(pymongo.MongoClient, event_listeners=[self])
        with mock.patch("stt.store.database.MongoClient", watched):
            self.database = Database(url, name)
        self._once_answered: Callable[[], None] | None = None

    @contextmanager
    def fails_once(self, reply: Document, meanwhile: Callable[[], None]) -> Iterator[None]:
        """The next write is answered with `reply`; then, before its sender knows, `meanwhile`."""
        client = self.database.chunks.database.client
        with failing(client, {"times": 1}, failCommands=WRITES, **reply):
            self._once_answered = meanwhile
            yield
        assert self._once_answered is None, "nothing was written"

    def started(self, event: CommandStartedEvent) -> None:
        pass

    def succeeded(self, event: CommandSucceededEvent) -> None:
        self._answered(event.command_name)

    def failed(self, event: CommandFailedEvent) -> None:
        self._answered(event.command_name)

    def _answered(self, command: str) -> None:
        if command in WRITES and self._once_answered is not None:
            act, self._once_answered = self._once_answered, None
            act()
