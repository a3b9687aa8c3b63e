"""The workers' own documents: who is at work, on what, and how it goes."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from stt.domain.chunk import count_of
from stt.domain.claim import WorkerReport
from stt.domain.worker_id import pattern_of_node
from stt.store.database import Database, translated

ALIVE_SECONDS = 90.0
"""A worker not heard of for this long counts as gone; heartbeats come several times as often."""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker as the database knows it; `age_seconds` since its last heartbeat."""

    id: str
    report: WorkerReport
    age_seconds: float

    @property
    def is_alive(self) -> bool:
        return self.age_seconds < ALIVE_SECONDS and self.report.state != "stopped"


class MongoRoster:
    """Reads and writes the `workers` collection. Raises DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def report(self, worker: str, report: WorkerReport) -> None:
        """Refreshes the worker's document; `seen_at` is the database server's time."""
        fields = asdict(report) | {"chunks": list(report.chunks), "counts": dict(report.counts)}
        with translated():
            self._db.workers.update_one(
                {"_id": worker}, {"$set": fields, "$currentDate": {"seen_at": True}}, upsert=True
            )

    def slots_alive(self) -> int:
        """Calls that the whole living fleet can have in flight, at least one."""
        return max(1, sum(member.report.slots for member in self.members() if member.is_alive))

    def members(self) -> Iterator[WorkerStatus]:
        """Every worker of the last day, the most recently heard of first."""
        now = self._db.server_time()
        with translated(), self._db.workers.find().sort("seen_at", -1) as cursor:
            for document in cursor:
                yield _member(document, now)

    def forget(self, node_id: str, except_worker: str | None = None) -> None:
        """Strikes off this node's workers (`NODE_RUN`): they are gone, or another has come."""
        whose: dict[str, object] = {"$regex": pattern_of_node(node_id).pattern}
        if except_worker is not None:
            whose["$ne"] = except_worker
        with translated():
            self._db.workers.delete_many({"_id": whose})

    def holders(self) -> dict[str, str]:
        """Which worker has which chunk in work now."""
        # Every text is greater than the empty one: so it comes from the index, however many
        # chunks there are, where "$ne" and a long "$in" would go through them all.
        in_work = {"processing_by": {"$gt": ""}}
        with translated(), self._db.chunks.find(in_work, ["processing_by"]) as cursor:
            return {str(document["_id"]): str(document["processing_by"]) for document in cursor}


def _member(document: Mapping[str, Any], now: datetime) -> WorkerStatus:
    seen_at = document.get("seen_at")
    chunks, counts = document.get("chunks"), document.get("counts")
    age = now - seen_at if isinstance(seen_at, datetime) else timedelta(days=1)
    return WorkerStatus(
        id=str(document["_id"]),
        report=WorkerReport(
            host=str(document.get("host") or ""),
            pid=count_of(document.get("pid")),
            version=str(document.get("version") or ""),
            server=str(document.get("server") or ""),
            state=str(document.get("state") or ""),
            slots=count_of(document.get("slots")),
            chunks=tuple(chunks) if isinstance(chunks, list) else (),
            counts={k: count_of(v) for k, v in counts.items()} if isinstance(counts, dict) else {},
        ),
        age_seconds=age.total_seconds(),
    )
