"""Write and read the documents of workers: which are running, and what they process."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from stt.domain.claim import WorkerReport
from stt.domain.worker_id import WorkerId, pattern_of_node
from stt.store.database import Database, Repository
from stt.store.documents import (
    read_count,
    read_flag,
    read_list,
    read_mapping,
    read_texts,
    read_time,
)
from stt.store.states import ANY_TEXT, UNFINISHED
from stt.system.single_flight import SingleFlight

ALIVE_SECONDS = 90.0
"""A worker without a heartbeat for this long counts as gone; several are due in this time."""

_KEEP_SECONDS = 5.0
"""How long the counts of the living are kept: every page is read with them."""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker, and the seconds since its last heartbeat."""

    id: str
    report: WorkerReport
    age_seconds: float

    @property
    def is_alive(self) -> bool:
        return self.age_seconds < ALIVE_SECONDS and self.report.state != "stopped"


def models_at_work(members: Iterable[WorkerStatus]) -> frozenset[str] | None:
    """Return the models that the servers of these workers have loaded.

    None if one that is alive does not say, or if none is.
    """
    alive = [one.report.models for one in members if one.is_alive and one.report.slots]
    return frozenset().union(*alive) if alive and all(alive) else None


def count_machines(members: Iterable[WorkerStatus]) -> int:
    """Count the machines with workers that are alive, nodes included."""
    alive = (one for one in members if one.is_alive)
    return len({one.report.host or WorkerId(one.id).owner for one in alive})


@dataclass(frozen=True, slots=True)
class _Fleet:
    """How many workers are alive, and how many calls they make at once."""

    workers: int
    slots: int


class MongoRoster(Repository):
    """The `workers` collection of one database."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._fleet = SingleFlight(self._read_fleet, keep_seconds=_KEEP_SECONDS)

    def report(self, worker: str, report: WorkerReport) -> None:
        """Write the worker's document; `seen_at` is the database server's time."""
        # Those alone: a message from a node has more.
        written = {field.name: getattr(report, field.name) for field in fields(WorkerReport)}
        self._db.workers.update_one(
            {"_id": worker}, {"$set": written, "$currentDate": {"seen_at": True}}, upsert=True
        )

    def slots_alive(self) -> int:
        """Return how many calls the workers that are alive can have in flight, at least 1.

        This and `workers_alive` may be some seconds old.
        """
        return max(1, self._fleet.get().slots)

    def workers_alive(self) -> int:
        """Return how many workers are alive, at least 1."""
        return max(1, self._fleet.get().workers)

    def members(self) -> Iterator[WorkerStatus]:
        """Yield the workers of the last day, latest heartbeat first."""
        now = self._db.server_time()
        with self._db.workers.find().sort("seen_at", -1) as cursor:
            for document in cursor:
                yield _read_worker(document, now)

    def _read_fleet(self) -> _Fleet:
        oldest = self._db.server_time() - timedelta(seconds=ALIVE_SECONDS)
        alive = {"seen_at": {"$gt": oldest}, "state": {"$ne": "stopped"}}
        sums = {"_id": None, "workers": {"$sum": 1}, "slots": {"$sum": "$slots"}}
        found = list(self._db.workers.aggregate([{"$match": alive}, {"$group": sums}]))
        return _Fleet(found[0]["workers"], int(found[0]["slots"])) if found else _Fleet(0, 0)

    def forget(self, node_id: str, except_worker: str | None = None) -> None:
        """Delete the documents of this node's workers, except those of `except_worker`."""
        ids: dict[str, object] = {"$regex": pattern_of_node(node_id).pattern}
        if except_worker is not None:
            ids["$ne"] = except_worker
        self._db.workers.delete_many({"_id": ids})

    def holders(self) -> dict[str, str]:
        """Return the id of the worker that holds each chunk that is processed now, by chunk id."""
        held = {**UNFINISHED, "processing_by": ANY_TEXT}
        with self._db.chunks.find(held, ["processing_by"]) as cursor:
            return {str(document["_id"]): str(document["processing_by"]) for document in cursor}


def _read_worker(document: Mapping[str, Any], now: datetime) -> WorkerStatus:
    seen_at, counts = read_time(document.get("seen_at")), read_mapping(document.get("counts"))
    age = now - seen_at if seen_at else timedelta(days=1)
    return WorkerStatus(
        id=str(document["_id"]),
        report=WorkerReport(
            host=str(document.get("host") or ""),
            pid=read_count(document.get("pid")),
            version=str(document.get("version") or ""),
            server=str(document.get("server") or ""),
            state=str(document.get("state") or ""),
            slots=read_count(document.get("slots")),
            chunks=tuple(read_list(document.get("chunks"))),
            counts={name: read_count(count) for name, count in counts.items()},
            missing_models=read_texts(document.get("missing_models")),
            models=read_texts(document.get("models")),
            finds_speakers=read_flag(document.get("finds_speakers")),
        ),
        age_seconds=age.total_seconds(),
    )
