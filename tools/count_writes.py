"""Counts what one chunk costs the database: the commands, and their bytes, of a real worker.

It starts an embedded database of its own, or takes `--url`, and lets the real worker transcribe
chunks by a server that answers after `--seconds`.
"""

import argparse
import os
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any
from unittest import mock
from uuid import uuid4

import bson
import pymongo
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from stt.settings import load_settings
from stt.store.database import Database
from stt.worker.context import WorkOptions
from stt.worker.worker import Worker
from tools.bench_fleet import Run, local_database, seed, stand_in

_WRITES = ("update", "findAndModify", "insert", "delete")
_SHOWN = (*_WRITES, "find", "aggregate", "hello")


class _Meter(CommandListener):
    """Counts commands and bytes by command and collection."""

    def __init__(self) -> None:
        self.commands = Counter[tuple[str, str]]()
        self.bytes = Counter[tuple[str, str]]()
        self._lock = threading.Lock()

    def started(self, event: CommandStartedEvent) -> None:
        name = event.command_name
        key = name, str(event.command.get(name)) if name in (*_WRITES, "find", "aggregate") else ""
        with self._lock:
            self.commands[key] += len(event.command.get("updates", "1"))
            self.bytes[key] += len(bson.encode(event.command))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


def measure(url: str, chunks: int, seconds: float, sequence_seconds: float) -> _Meter:
    """Let one worker transcribe so many chunks on a fresh database; return what it sent."""
    name, meter = f"stt_bench_{uuid4().hex[:8]}", _Meter()
    watched = partial(pymongo.MongoClient[dict[str, Any]], event_listeners=[meter])
    run = Run(workers=2, call_seconds=seconds, chunks=chunks)
    with Database(url, name) as database, stand_in(run) as server_url:
        database.ensure_indexes()
        seed(database, chunks)
        os.environ.clear()  # a person's settings must not change what is measured
        settings = load_settings(
            server_urls=(server_url,), sequence_seconds=sequence_seconds, required_empty_checks=1
        )
        with mock.patch("stt.store.database.MongoClient", watched), Database(url, name) as seen:
            Worker.at_database(seen, settings, WorkOptions()).run()
        database.chunks.database.client.drop_database(name)
    return meter


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="the database server, if not one of its own")
    parser.add_argument("--chunks", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=0.05, help="of a server call")
    parser.add_argument("--sequence-seconds", type=float, default=0, help="of one call; 0: a chunk")
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        url = options.url or stack.enter_context(local_database("secantusd-py"))
        meter = measure(url, options.chunks, options.seconds, options.sequence_seconds)
    for (name, collection), count in meter.commands.most_common():
        if name in _SHOWN:
            size = meter.bytes[name, collection] / max(count, 1)
            print(
                f"{name:14} {collection:14} {count / options.chunks:6.2f} a chunk {size:6.0f} bytes"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
