"""Claims whose commands are recorded as in a chaos run, within the test's own process."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymongo
from bson import ObjectId

from stt.domain.claim import Claim, ClaimRules
from stt.domain.transcript import Segment, Transcript
from stt.store.claims import MongoClaims
from stt.store.database import Database, Document
from tools.chaos_lab.checker import Fact, Run, WorkerEnd
from tools.chaos_lab.history import EventLog, load
from tools.chaos_lab.recorder import Recorder


@contextmanager
def recorded(url: str, name: str, log: Path) -> Iterator[Database]:
    """The database `name`, seen through a driver that writes its history to `log`."""
    recorder = Recorder(EventLog(log, log.stem))
    with (
        Database(url, name) as database,
        pymongo.MongoClient[Document](url, event_listeners=[recorder]) as client,
    ):
        options = database.chunks.codec_options, None, database.chunks.write_concern
        heard = client.get_database(name, *options)
        database.chunks, database.workers = heard["audio_chunks"], heard["workers"]
        yield database


class Recording:
    """A small chaos run: some chunks, workers that are recorded, and a stand-in for a server."""

    def __init__(self, url: str, database: Database, folder: Path, rules: ClaimRules) -> None:
        self._url = url
        self._database = database
        self._folder = folder
        self._rules = rules
        self._calls: list[Mapping[str, Any]] = []

    @contextmanager
    def worker(self, name: str) -> Iterator[tuple[MongoClaims, Database]]:
        """The claims of the worker `host_<name>`, and the database as it sees it."""
        log = self._folder / f"{name}.jsonl"
        with recorded(self._url, self._database.chunks.database.name, log) as database:
            yield MongoClaims(database, f"host_{name}", self._rules), database

    def hear(self, claim: Claim, number: int) -> Transcript:
        """What a server would answer to a call for this chunk, made now."""
        call = str(len(self._calls))
        self._calls.append({"t": time.monotonic(), "server": "one", "call": call, "chunk": number})
        segments = (Segment(0.0, 1.0, f"chunk {number} call {call}"),)
        return Transcript(segments, server="http://one", worker=claim.worker)

    def run(self, chunks: Sequence[ObjectId], ends: Sequence[WorkerEnd]) -> Run:
        """All of it, for the checker; the numbers of chunks are their places in the list."""
        return Run(
            history=load(self._folder),
            documents=list(self._database.chunks.find()),
            calls=self._calls,
            chunks={chunk: Fact(number) for number, chunk in enumerate(chunks)},
            ends=ends,
            lease_seconds=self._rules.lease_seconds,
            max_attempts=self._rules.max_attempts,
            max_expirations=self._rules.max_expirations,
        )
