"""Inspect the database server and its indexes without changing anything."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pymongo.errors import OperationFailure

from stt.store.database import Database, Document, Repository
from stt.store.documents import read_list, read_mappings, read_text
from stt.store.indexes import INDEXES
from stt.store.shared_places import SharedPlace, shared_places


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A database server.

    `members`: how many data-bearing members its replica set has, None without a replica set.
    `clock_seconds_ahead`: by how much this machine's clock is ahead of the server's, as far as
    that can be known: the time that the request took is not counted.
    """

    version: str
    is_primary: bool
    replica_set: str | None
    members: int | None
    is_router: bool
    clock_seconds_ahead: float


class DatabaseInspector(Repository):
    """Reads what is known about a database, never writes."""

    def server(self) -> ServerInfo:
        asked_at, began = datetime.now(UTC), time.monotonic()
        hello = _run(self._db, "hello")
        took = time.monotonic() - began
        ahead = (asked_at - hello["localTime"]).total_seconds()
        if ahead < 0:  # the server's time is that of its answer, at most `took` after the request
            ahead = min(ahead + took, 0.0)
        replica_set = read_text(hello.get("setName"))
        members = len(read_list(hello.get("hosts"))) + len(read_list(hello.get("passives")))
        return ServerInfo(
            version=str(_run(self._db, "buildInfo").get("version", "of unknown version")),
            is_primary=bool(hello.get("isWritablePrimary", hello.get("ismaster"))),
            replica_set=replica_set,
            members=members if replica_set else None,
            is_router=hello.get("msg") == "isdbgrid",
            clock_seconds_ahead=ahead,
        )

    def missing_indexes(self) -> list[str]:
        """Return the indexes that the next command creates, as `collection.name`."""
        return [
            f"{collection}.{index.document['name']}"
            for collection, indexes in INDEXES.items()
            for found in [self._indexes(collection)]
            for index in indexes
            if index.document["name"] not in found
        ]

    def wrong_indexes(self) -> list[str]:
        """Return the indexes that have our name and differ from ours, as `collection.name`."""
        return [
            f"{collection}.{index.document['name']}"
            for collection, indexes in INDEXES.items()
            for found in [self._indexes(collection)]
            for index in indexes
            if index.document["name"] in found
            and _form(index.document) != _form(found[index.document["name"]])
        ]

    def shared_places(self) -> list[SharedPlace]:
        """Return some places that several chunks share, for which `place` cannot be made."""
        return list(shared_places(self._db.chunks, 4))

    def may_write(self) -> bool | None:
        """Return whether the user may insert chunks; None if the server does not say."""
        try:
            status = _run(self._db, "connectionStatus", showPrivileges=True)["authInfo"]
            if not read_list(status.get("authenticatedUsers")):
                return None
            privileges = read_mappings(status.get("authenticatedUserPrivileges"))
        except (OperationFailure, LookupError, AttributeError):
            return None
        if not privileges:
            return None
        return any(self._covers(privilege) for privilege in privileges)

    def _covers(self, privilege: Mapping[str, Any]) -> bool:
        resource = privilege.get("resource") or {}
        is_any = bool(resource.get("anyResource"))
        database, collection = resource.get("db"), resource.get("collection")
        is_ours = database in ("", self._db.chunks.database.name) and collection in (
            "",
            self._db.chunks.name,
        )
        return (is_any or is_ours) and "insert" in read_list(privilege.get("actions"))

    def _indexes(self, collection: str) -> dict[str, Document]:
        with self._db.chunks.database[collection].list_indexes() as indexes:
            return {str(index["name"]): dict(index) for index in indexes}


def _run(db: Database, name: str, **options: Any) -> Document:
    """Run a command that only reads. Raises errors of pymongo."""
    database = db.chunks.database
    return database.command(name, codec_options=database.codec_options, **options)


def _form(index: Mapping[str, Any]) -> tuple[object, ...]:
    keys = [(name, int(order)) for name, order in dict(index["key"]).items()]
    part = {name: dict(part) for name, part in (index.get("partialFilterExpression") or {}).items()}
    return keys, bool(index.get("unique")), index.get("expireAfterSeconds"), part
