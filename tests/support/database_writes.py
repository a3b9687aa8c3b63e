"""Records the commands of one `Database` that are not known to only read."""

from functools import partial
from threading import current_thread
from unittest import mock

import pymongo
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from stt.store.database import Database

_READS = frozenset({
    "aggregate", "buildInfo", "count", "distinct", "endSessions", "find", "getMore", "hello",
    "killCursors", "ping",
})  # fmt: skip
_WRITING_STAGES = ("$out", "$merge")


class DatabaseWrites(CommandListener):
    """`recorded` has a line for each write by threads whose names begin with none of `others`."""

    def __init__(self, url: str, name: str, others: tuple[str, ...] = ()) -> None:
        self.recorded: list[str] = []
        self._others = others
        watched = partial(pymongo.MongoClient, event_listeners=[self])
        with mock.patch("stt.store.database.MongoClient", watched):
            self.database = Database(url, name)

    def started(self, event: CommandStartedEvent) -> None:
        name = event.command_name
        stages = event.command.get("pipeline", ())
        reads = name in _READS and not any(
            key in stage for stage in stages for key in _WRITING_STAGES
        )
        if not reads and not current_thread().name.startswith(self._others):
            self.recorded.append(f"{name} {event.command.get(name)}")

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass
