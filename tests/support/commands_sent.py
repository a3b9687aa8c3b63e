"""Keeps every command that one `Database` sends."""

from functools import partial
from typing import Any
from unittest import mock

import bson
import pymongo
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from stt.store.database import Database

_WRITES = ("insert", "update", "delete", "findAndModify")


class CommandsSent(CommandListener):
    """`commands` are those sent through `database`, in their order."""

    def __init__(self, url: str, name: str) -> None:
        self.commands: list[dict[str, Any]] = []
        watched = partial(pymongo.MongoClient, event_listeners=[self])
        with mock.patch("stt.store.database.MongoClient", watched):
            self.database = Database(url, name)

    def writes(self, collection: str) -> list[dict[str, Any]]:
        return [c for c in self.commands if any(c.get(name) == collection for name in _WRITES)]

    def started(self, event: CommandStartedEvent) -> None:
        self.commands.append(dict(event.command))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


def single_documents(command: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the query of each write in this command that is to change one document."""
    if "findAndModify" in command:
        return [command["query"]]
    updates = [u["q"] for u in command.get("updates", ()) if not u.get("multi")]
    deletes = [d["q"] for d in command.get("deletes", ()) if d.get("limit") == 1]
    return [*updates, *deletes, *command.get("documents", ())]


def size(command: dict[str, Any]) -> int:
    """Return its length in bytes, as it is sent."""
    return len(bson.encode(command))
