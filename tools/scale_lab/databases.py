"""Databases to measure, filled with chunks, each on a server of its own where none is given."""

import contextlib
import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymongo
from pymongo import IndexModel, MongoClient
from pymongo.errors import PyMongoError

from stt.errors import ConfigError, DatabaseUnavailable
from stt.local.database import EmbeddedServer, is_installed
from stt.store.database import Database, translated
from tools.bench_fleet import find_program, local_database
from tools.scale_lab.goals import Goals, console
from tools.scale_lab.timings import fill, reason_of

_PROGRESS_SECONDS = 10.0
_DROP_SECONDS = 60.0


def kind_of(*, embedded: bool) -> str:
    """Return the kind of the database; "given" for that of STT_BENCH_MONGO_URL.

    Raise ConfigError if there is none.
    """
    if embedded or not (os.environ.get("STT_BENCH_MONGO_URL") or find_program("nx-27017")):
        if not is_installed():
            raise ConfigError("no database: pip install 'stt-fleet[embedded]', or see --help")
        return "embedded"
    return "given" if os.environ.get("STT_BENCH_MONGO_URL") else "nx-27017"


@contextlib.contextmanager
def filled(kind: str, chunks: int, held: int, goals: Goals) -> Iterator[Database | None]:
    """A database of its own with so many chunks, dropped at the end; None if it takes them not."""
    name = f"stt_bench_{uuid.uuid4().hex[:8]}"
    with _server(kind) as url, Database(url, name) as database:
        database.server_time()  # or there is no database
        try:
            yield database if _fill(kind, database, chunks, held, goals) else None
        finally:
            if kind == "given":
                _drop(url, name, goals)


@contextlib.contextmanager
def _server(kind: str) -> Iterator[str]:
    """Yield the URL of a server; a new and empty one, if it is not given."""
    if kind == "given":
        yield os.environ["STT_BENCH_MONGO_URL"]
    elif kind == "embedded":
        with (
            tempfile.TemporaryDirectory(prefix="stt-bench-") as folder,
            EmbeddedServer(Path(folder) / "data").shared() as url,
        ):
            yield url
    else:
        with local_database(kind) as url:
            yield url


def _fill(kind: str, database: Database, chunks: int, held: int, goals: Goals) -> bool:
    """Insert the chunks and make the indexes; return whether that worked."""
    began = shown = asked = time.monotonic()
    done = 0
    try:
        for done in fill(database, chunks, held):
            asked = time.monotonic()
            if asked - shown > _PROGRESS_SECONDS or done == chunks + held:
                shown = asked
                console.print(
                    f"{done:,} of {chunks + held:,} chunks inserted, {asked - began:.0f} s"
                )
        if kind == "nx-27017":  # it cannot index `_id` beside other fields
            fields = ["transcribed_at", "failed_at", "processing_by"]
            keys = [*((one, 1) for one in fields), ("priority", -1), ("start", 1)]
            claims = IndexModel([("processing_by", 1), ("claimed_at", 1)], name="claims")
            with translated():
                database.chunks.create_indexes([IndexModel(keys, name="pages"), claims])
        else:
            database.ensure_indexes()
    except DatabaseUnavailable as error:
        step = "indexes of" if done == chunks + held else f"inserting chunk {done + 1:,} of"
        reason = reason_of(error, time.monotonic() - asked)
        goals.not_done(f"{step} {chunks + held:,}: {reason}; this size is left out")
        return False
    return True


def _drop(url: str, name: str, goals: Goals) -> None:
    try:
        with MongoClient[dict[str, Any]](url) as client, pymongo.timeout(_DROP_SECONDS):
            client.drop_database(name)
    except PyMongoError:
        goals.not_done(f"dropping the database {name}: do that yourself")
