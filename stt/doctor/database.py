"""Check the database: its server, how safely it writes, its indexes, and the clocks."""

from collections.abc import Iterator

import pymongo

from stt.doctor.checks import Finding
from stt.doctor.notifications import undelivered_findings
from stt.errors import ConfigError, DatabaseUnavailable
from stt.local.place import DatabasePlace
from stt.store.database import Database
from stt.store.inspection import DatabaseInspector, ServerInfo
from stt.store.model_routing import waiting_chunks
from stt.store.shared_places import UNIQUE_INDEX, advice

_MAX_CLOCK_SECONDS = 5.0
_CHECK = "database"


def database_findings(place: DatabasePlace, name: str, limit_seconds: float) -> Iterator[Finding]:
    """Check the database at this place. Raises SttError if it does not answer."""
    if place.url is None:
        yield Finding(_CHECK, "ok", place.text)
        return
    with pymongo.timeout(limit_seconds), Database(place.url, name) as database:
        inspector = DatabaseInspector(database)
        server = inspector.server()
        yield from _server(server, f"{name} {place.text}", inspector)
        yield from _indexes(inspector)
        yield _safety(server, is_embedded=place.is_embedded)
        yield _clock(server.clock_seconds_ahead)
        yield from _models(database)
        yield from undelivered_findings(database)


def _server(server: ServerInfo, where: str, inspector: DatabaseInspector) -> Iterator[Finding]:
    if not server.is_primary and not server.is_router:
        yield Finding.problem(
            _CHECK,
            f"{where}: this member of the replica set {server.replica_set or ''} cannot write",
            "Name all members in MONGO_URL, with ?replicaSet=NAME and without directConnection.",
            DatabaseUnavailable,
        )
    elif inspector.may_write() is False:
        yield Finding.problem(
            _CHECK,
            f"{where}: its user may not write",
            "Give the user of MONGO_URL the role readWrite on this database.",
            ConfigError,
        )
    else:
        yield Finding(_CHECK, "ok", f"{where} (version {server.version})")


def _indexes(inspector: DatabaseInspector) -> Iterator[Finding]:
    if wrong := inspector.wrong_indexes():
        yield Finding.problem(
            "indexes",
            f"not as stt makes them: {', '.join(wrong)}",
            "Drop them in a Mongo shell (db.COLLECTION.dropIndex(NAME)); `stt status` makes them"
            " anew.",
            ConfigError,
        )
    elif f"audio_chunks.{UNIQUE_INDEX}" in (missing := inspector.missing_indexes()) and (
        places := inspector.shared_places()
    ):
        yield Finding(
            "indexes", "warning", advice(places), "Then any other command makes the index."
        )
    elif missing:
        yield Finding(
            "indexes",
            "warning",
            f"missing: {', '.join(missing)}",
            "Any other command makes them; `stt status` is one.",
        )
    else:
        yield Finding("indexes", "ok", "all are there")


def _models(database: Database) -> Iterator[Finding]:
    """Name the models that recordings want and no worker has."""
    for waiting in waiting_chunks(database):
        yield Finding(
            "models",
            "warning",
            f"pending chunks that want {waiting.model!r}, which no machine has: {waiting.chunks:,}",
            "Start a whisper server with it, or name another: `stt again RECORDING --model MODEL`.",
        )


def _safety(server: ServerInfo, *, is_embedded: bool) -> Finding:
    """Return what a write waits for, and so what a failure may lose."""
    check = "write safety"
    if is_embedded:
        return Finding(check, "ok", "writes wait for the journal of the embedded database")
    if server.is_router:
        return Finding(check, "ok", "a sharded cluster: writes wait for the majority of each shard")
    if server.replica_set is None:
        return Finding(
            check,
            "warning",
            "no replica set: writes wait for the journal of this one server, and are lost with its"
            " disk",
            "Back it up (docs/guides/backup.md), or make it a replica set of three.",
        )
    members = server.members or 1
    if members < 3:
        return Finding(
            check,
            "ok",
            f"replica set {server.replica_set} of {members}: writes wait for all of it, and are"
            " lost with its disks; no failure of a member is survived",
        )
    return Finding(
        check,
        "ok",
        f"replica set {server.replica_set} of {members}: writes wait for {members // 2 + 1}",
    )


def _clock(seconds_ahead: float) -> Finding:
    size = abs(seconds_ahead)
    if size <= _MAX_CLOCK_SECONDS:
        return Finding("clock", "ok", f"within {max(size, 0.1):.1f} s of the database's")
    word = "ahead of" if seconds_ahead > 0 else "behind"
    return Finding(
        "clock",
        "warning",
        f"this machine's clock is {size:.0f} s {word} the database's",
        "Let both follow NTP (timedatectl set-ntp true). Claims go by the database's clock and are"
        " safe; times in logs and of recordings are not comparable.",
    )
