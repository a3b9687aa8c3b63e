"""The fleet of a chaos run: a database, whisper servers, workers, proxies between all of them."""

import contextlib
import dataclasses
import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests
from bson import ObjectId
from pymongo.collection import Collection

from stt.errors import DatabaseUnavailable
from stt.store.database import Database, translated
from tools.chaos_lab.coordinators import Coordinator, coordinator_server, join
from tools.chaos_lab.evidence import Fact
from tools.chaos_lab.feed import Feed
from tools.chaos_lab.fleet import Fleet, Progress, progress_of
from tools.chaos_lab.folders import Folders
from tools.chaos_lab.history import EventLog
from tools.chaos_lab.namer_process import NamerProcess
from tools.chaos_lab.processes import (
    DATABASE_NAME,
    Server,
    database_server,
    http_server,
    mongo_url,
)
from tools.chaos_lab.proxy import Proxy, ProxyHouse
from tools.chaos_lab.stand_in import GOOD_MOOD, Pace
from tools.chaos_lab.worker_slot import NodeSlot, WorkerSlot

STAND_INS = 2
POISONS = ("audio", "refused", "fault", "killer")
# A worker that is killed now and then harms no chunk; here they are killed all the time.
MAX_EXPIRATIONS = 25
_HASTE = Pace(0.02, 0.1, slow=0.1, slow_share=0.0)
_MOOD_SECONDS = 2.0
_DATABASE_SECONDS = 30.0
_WORK_FIELDS = {"transcribed_at": 1, "failed_at": 1, "processing_by": 1}
_SHORT_REST = timedelta(seconds=4)


class Lab:
    """Use `running()`; everything is taken down at its end."""

    def __init__(self, folder: Path, fleet: Fleet, rng: random.Random) -> None:
        self.folder = folder
        self.fleet = fleet
        self.folders = Folders(folder)
        self.folders.make()
        numbers = rng.sample(range(fleet.chunks), fleet.chunks)
        poisoned = dict(
            zip(numbers, [p for p in POISONS for _ in range(fleet.poisons_of_each)], strict=False)
        )
        self.facts = {ObjectId(): Fact(n, poisoned.get(n)) for n in range(fleet.chunks)}
        self.faults_log = EventLog(folder / "faults.jsonl", "storm")
        self.workers_at_database: list[WorkerSlot] = []
        self.nodes: list[NodeSlot] = []
        self.coordinators: list[Coordinator] = []
        self._seed = rng.randrange(2**31)
        self._feed = Feed(self.facts)
        self._closing = contextlib.ExitStack()

    @contextlib.contextmanager
    def running(self) -> Iterator["Lab"]:
        """Starts everything; returns when the servers answer and the workers are on their way."""
        with self._closing:
            house = self._closing.enter_context(ProxyHouse().running())
            self.database_server = database_server(self.folder / "database", self.folders.logs)
            self.stand_ins = [self._stand_in(n + 1) for n in range(STAND_INS)]
            self.real_servers = [
                http_server(
                    f"real-{n + 1}", "whisper_server", ["--model", "tiny.en"], self.folders.logs
                )
                for n in range(self.fleet.real_servers)
            ]
            for server in self.servers:
                self._closing.callback(server.close)
                server.start()
            for server in self.servers:
                server.wait()
            self.database = self._closing.enter_context(Database(self.mongo_url, DATABASE_NAME))
            self.database.ensure_indexes()
            self._add_coordinators(house)
            for number in range(1, self.fleet.workers + 1):
                self._add_worker(house, number)
            for number in range(1, self.fleet.nodes + 1):
                self._add_node(house, number)
            at_database = self.settings() | {"MONGO_URL": self.mongo_url}
            self.namer = NamerProcess(self.folders, at_database, self.fleet.mutation)
            self._closing.callback(self.namer.close)
            yield self

    @property
    def workers(self) -> list[WorkerSlot]:
        """All of them, wherever they find the queue."""
        return [*self.workers_at_database, *self.nodes]

    @property
    def servers(self) -> list[Server]:
        return [self.database_server, *self.whisper_servers]

    @property
    def whisper_servers(self) -> list[Server]:
        return [*self.stand_ins, *self.real_servers]

    @property
    def mongo_url(self) -> str:
        """The database itself, no proxy between."""
        return mongo_url(
            self.database_server.port,
            serverSelectionTimeoutMS=300, connectTimeoutMS=1_000, socketTimeoutMS=10_000,
        )  # fmt: skip

    @property
    def real_urls(self) -> frozenset[str]:
        """Under which the workers know the real servers."""
        ports = {server.port for server in self.real_servers}
        return frozenset(
            f"http://127.0.0.1:{proxy.port}"
            for worker in self.workers
            for proxy in worker.servers
            if proxy.target_port in ports
        )

    def settings(self) -> dict[str, str]:
        """What all workers agree on, and the tools beside them."""
        fleet = self.fleet
        return {
            "DATABASE_NAME": DATABASE_NAME,
            "LEASE_SECONDS": str(fleet.lease_seconds),
            "CHUNK_TIMEOUT": str(fleet.chunk_timeout),
            "SEQUENCE_SECONDS": str(fleet.sequence_seconds),
            "MAX_PARALLEL_WORKERS": str(fleet.calls_at_once),
            "MAX_ATTEMPTS": str(fleet.max_attempts),
            "MAX_EXPIRATIONS": str(MAX_EXPIRATIONS),
            "NODE_PERSISTENT": "1",
        }

    def turn(self, stand_in: Server, mood: str = GOOD_MOOD, times: int | None = None) -> bool:
        """Tells a stand-in how to answer; False if it is away."""
        return self._tell(stand_in, mood=mood, times=times)

    def hurry_up(self) -> None:
        """From now on calls are quick: what is left is to end, not to be hit."""
        for stand_in in self.stand_ins:
            self._tell(stand_in, pace=dataclasses.astuple(_HASTE))

    def _tell(self, stand_in: Server, **told: object) -> bool:
        with contextlib.suppress(requests.RequestException), requests.Session() as session:
            session.trust_env = False
            url = f"http://127.0.0.1:{stand_in.port}/mood"
            return session.put(url, json=told, timeout=_MOOD_SECONDS).ok
        return False

    def add_chunks(self, until: int) -> None:
        """Puts chunks in until there are so many; later, if the database is away."""
        with contextlib.suppress(DatabaseUnavailable):
            self._feed.add(self.database, until)

    def facts_of(self, documents: Sequence[Mapping[str, Any]]) -> dict[ObjectId, Fact]:
        """Of the chunks that must be in the queue, and of those that are there besides."""
        acknowledged = set(list(self.facts)[: self._feed.added])
        there = {document["_id"] for document in documents}
        return {id_: f for id_, f in self.facts.items() if id_ in there or id_ in acknowledged}

    @property
    def is_at_work(self) -> bool:
        """True once every worker has begun."""
        return all(worker.is_at_work for worker in self.workers)

    def end_rests(self) -> None:
        """Clear `not_before` by hand, so that no chunk waits for its next try.

        Short rests stay: they keep workers apart that are after the same chunk.
        """
        with contextlib.suppress(DatabaseUnavailable):
            soon = self.database.server_time() + _SHORT_REST
            with translated():
                self.database.chunks.update_many(
                    {"not_before": {"$gt": soon}}, {"$set": {"not_before": None}}
                )

    def progress(self) -> Progress | None:
        """None while the database is away."""
        with contextlib.suppress(DatabaseUnavailable), translated():
            documents = self.database.chunks.find({}, _WORK_FIELDS)
            return progress_of(documents, self._feed.added)
        return None

    def holding(self) -> list[WorkerSlot]:
        """The workers that have chunks in their hands; none while the database is away."""
        ids: list[str] = []
        with contextlib.suppress(DatabaseUnavailable), translated():
            ids = self.database.chunks.distinct("processing_by", {"processing_by": {"$ne": None}})
        return [worker for worker in self.workers if any(map(worker.is_called, ids))]

    def documents(self, collection: Collection[dict[str, Any]]) -> list[dict[str, Any]]:
        """All of them as they are. Raises DatabaseUnavailable if the database stays away."""
        deadline = time.monotonic() + _DATABASE_SECONDS
        while True:
            try:
                with translated():
                    return list(collection.find({}))
            except DatabaseUnavailable:
                if time.monotonic() > deadline:
                    raise

    def revive_workers(self) -> None:
        """Another takes the place of each worker that ended."""
        for worker in self.workers:
            if worker.bury():
                worker.start()

    def finish_workers(self, patience_seconds: float) -> list[str]:
        """SIGTERM to all of them; the names of those that did not heed it."""
        deadline = time.monotonic() + patience_seconds
        for worker in self.workers:
            worker.ask_to_go()
        return [
            worker.actor
            for worker in self.workers
            if not worker.finish(max(0.0, deadline - time.monotonic()))
        ]

    def _stand_in(self, number: int) -> Server:
        name = f"stand-in-{number}"
        poisons = {f.number: f.poison for f in self.facts.values() if f.poison}
        file = self.folder / "poisons.json"
        file.write_text(json.dumps(poisons))
        pace = self.fleet.pace
        arguments = [
            "--name",
            name,
            "--log",
            str(self.folders.calls_of(name)),
            "--poisons",
            str(file),
        ]
        arguments += ["--seed", str(self._seed + number), "--pace"]
        arguments += [str(s) for s in (pace.shortest, pace.longest, pace.slow, pace.slow_share)]
        return http_server(name, "tools.chaos_lab.stand_in", arguments, self.folders.logs)

    def _add_coordinators(self, house: ProxyHouse) -> None:
        for number in range(1, self.fleet.coordinators + 1):
            name = f"coordinator-{number}"
            database = self._proxy(house, name, self.database_server)
            server = coordinator_server(
                name, database.port, self.folders, self.settings(), self.fleet.mutation
            )
            self.coordinators.append(Coordinator(server, database))
            self._closing.callback(server.close)
            server.start()
        for coordinator in self.coordinators:
            coordinator.server.wait()

    def _add_worker(self, house: ProxyHouse, number: int) -> None:
        name = f"worker {number}"
        worker = WorkerSlot(
            number,
            self._proxy(house, name, self.database_server),
            [self._proxy(house, name, server) for server in self.whisper_servers],
            self.folders.logs,
            self.folders.history,
            {**self.settings(), "LEASE_SECONDS": str(self.fleet.lease_of(number))},
            self.fleet.mutation,
        )
        self.workers_at_database.append(worker)
        self._start(worker)

    def _add_node(self, house: ProxyHouse, number: int) -> None:
        name = f"node {number}"
        ports = [coordinator.server.port for coordinator in self.coordinators]
        node = NodeSlot(
            number,
            house.open(f"{name} to coordinators", *ports),
            [self._proxy(house, name, server) for server in self.whisper_servers],
            self.folders.logs,
            self.folders.node_history,
            self.settings(),
            self.fleet.mutation,
            membership=join(self.coordinators[0].server, name),
        )
        self.nodes.append(node)
        self._start(node)

    def _proxy(self, house: ProxyHouse, name: str, server: Server) -> Proxy:
        proxy = house.open(f"{name} to {server.name}", server.port)
        server.proxies.append(proxy)
        return proxy

    def _start(self, worker: WorkerSlot) -> None:
        self._closing.callback(worker.close)
        worker.start()
