"""The nodes that have joined by a coordinator, and the codes with which others may join."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from pymongo.errors import DuplicateKeyError

from stt.coordinator.store.sessions import new_secret, sha256
from stt.domain.claim import WorkerReport
from stt.domain.node import AskedTest, Job, Node, NodeTest, new_node_id
from stt.errors import KeyRejected, NodeRemoved, NotFound, SttError
from stt.store import documents
from stt.store.database import Database, Document, Repository
from stt.system.single_flight import SingleFlight

# Neither I, L, O, U nor 0, 1, which people mistake for others; no words can arise.
_CODE_SIGNS = "ABCDEFGHJKMNPQRSTVWXYZ23456789"
_CODE_GROUPS, _GROUP_LENGTH = 3, 4  # 12 of 30 signs: 58 bits
_MAX_ID_TRIES = 20
_REMOVED = "This node was removed at the coordinator. To join again, register it anew."
_NO_JOBS = {"jobs": "", "jobs_at": "", "jobs_from": ""}


@dataclass(frozen=True, slots=True)
class JoinCode:
    """Any number of machines may join with it until `expires_at`; it cannot be read again."""

    code: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class NodesSnapshot:
    """All nodes by their ids, in the order in which they joined, as of the database's time `at`."""

    at: datetime
    nodes: Mapping[str, Node]


class NodeRegistry(Repository):
    """Reads and writes the `nodes` and `join_codes` collections.

    Keys and codes are stored as SHA-256 alone: they are random, so they cannot be guessed from it,
    and the time that finding one takes reveals nothing. The document of a removed node stays, with
    `removed_at`, so that the node gets a clear answer. Safe between threads.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._snapshots = SingleFlight(lambda: self._read_all())

    def by_key(self, key: str) -> Node | None:
        """Return the node that has this key. Raises NodeRemoved if it was removed."""
        document = self._db.nodes.find_one({"key_sha256": sha256(key)})
        if document is None:
            return None
        if document.get("removed_at") is not None:
            raise NodeRemoved(_REMOVED)
        return read_node(document)

    def get(self, node_id: str) -> Node:
        """Raise NotFound, also for a node that was removed."""
        document = self._db.nodes.find_one(_present(node_id))
        if document is None:
            raise _unknown(node_id)
        return read_node(document)

    def snapshot(self, max_age_seconds: float = 0.0) -> NodesSnapshot:
        """Return all nodes as they were at most so long before this call.

        Concurrent callers share one read of the database, or its failure.
        """
        return self._snapshots.get(max_age_seconds=max_age_seconds)

    def names(self) -> dict[str, str]:
        """Return the name of every node by its id, also of removed ones."""
        found = list(self._db.nodes.find({}, ["name"]))
        return {str(document["_id"]): read_node(document).name for document in found}

    def add(self, name: str, platform: str = "") -> tuple[Node, str]:
        """Return a new node and its key, which cannot be read again; names need not be unique."""
        key = new_secret()
        fields = {
            "name": name,
            "platform": platform,
            "priority": 0,
            "model": None,
            "is_enabled": True,
            "created_at": self._db.server_time(),
            "seen_at": None,
            "removed_at": None,
            "key_sha256": sha256(key),
        }
        for _ in range(_MAX_ID_TRIES):
            document = {"_id": new_node_id(name), **fields}
            try:
                self._db.nodes.insert_one(document)
            except DuplicateKeyError:
                if self.by_key(key) is None:  # else it was our own first try that got through
                    continue
            return read_node(document), key
        raise NotFound(f"No free id for another node called {name!r}: take another name.")

    def new_join_code(self, minutes: float) -> JoinCode:
        signs = [secrets.choice(_CODE_SIGNS) for _ in range(_CODE_GROUPS * _GROUP_LENGTH)]
        groups = ("".join(signs[group::_CODE_GROUPS]) for group in range(_CODE_GROUPS))
        code = "-".join(groups)
        expires_at = self._db.server_time() + timedelta(minutes=minutes)
        self._db.join_codes.insert_one({"_id": _code_sha256(code), "expires_at": expires_at})
        return JoinCode(code, expires_at)

    def revoke_join_codes(self) -> None:
        self._db.join_codes.delete_many({})

    def register(self, code: str, name: str, platform: str) -> tuple[Node, str]:
        """Add a node that has a join code. Raises KeyRejected if that is wrong or expired."""
        found = self._db.join_codes.find_one({"_id": _code_sha256(code)})
        # The database removes expired codes only now and then.
        expires_at = None if found is None else found.get("expires_at")
        if not isinstance(expires_at, datetime) or expires_at <= self._db.server_time():
            raise KeyRejected("This join code is wrong, or no longer valid.")
        return self.add(name, platform)

    def change(self, node_id: str, fields: Mapping[str, object]) -> Node:
        """Set `name`, `priority`, `model` or `is_enabled`. Raises NotFound."""
        if fields:
            self._update(node_id, {"$set": dict(fields)}, _unknown(node_id))
        return self.get(node_id)

    def remove(self, node_id: str) -> None:
        """Make `by_key` raise NodeRemoved for it. Raises NotFound."""
        unset = {**_NO_JOBS, "test": ""}
        update = {"$currentDate": {"removed_at": True}, "$unset": unset}
        self._update(node_id, update, _unknown(node_id))

    def record_heartbeat(self, node_id: str, report: WorkerReport) -> None:
        """Raise NodeRemoved."""
        fields = {"state": report.state, "slots": report.slots, "chunks": len(report.chunks)}
        update = {"$set": {"report": fields}, "$currentDate": {"seen_at": True}}
        self._update(node_id, update, NodeRemoved(_REMOVED))

    def set_jobs(self, node_id: str, socket_id: str, jobs: Sequence[Job]) -> None:
        """Store what the node has in work, as it reported over this WebSocket of its own."""
        documents = [asdict(job) | {"chunk_ids": list(job.chunk_ids)} for job in jobs]
        fields = {"jobs": documents, "jobs_from": socket_id}
        self._update(node_id, {"$set": fields, "$currentDate": {"jobs_at": True}})

    def forget_jobs(self, node_id: str, socket_id: str) -> None:
        """Remove the jobs that were reported over this WebSocket, now closed."""
        query = {"_id": node_id, "jobs_from": socket_id}
        self._db.nodes.update_one(query, {"$unset": _NO_JOBS})

    def request_test(self, node_id: str) -> None:
        """Have the node tested over its WebSocket, wherever that ends. Raises NotFound.

        A test that is under way serves this request too.
        """
        if self.get(node_id).test_to_put(self._db.server_time()) is None:
            fields = {"test.id": secrets.token_hex(8)}
            update = {"$set": fields, "$currentDate": {"test.asked_at": True}}
            self._update(node_id, update, _unknown(node_id))

    def end_test(self, node_id: str, test_id: str, result: NodeTest) -> None:
        """Store a test's first result, with the database's time as `at`."""
        fields = {"ok": result.ok, "detail": result.detail, "milliseconds": result.milliseconds}
        update = {
            "$set": {f"last_test.{name}": value for name, value in fields.items()},
            "$currentDate": {"last_test.at": True},
            "$unset": {"test": ""},
        }
        self._db.nodes.update_one({**_present(node_id), "test.id": test_id}, update)

    def _update(self, node_id: str, update: Document, error: SttError | None = None) -> None:
        """Update a node; raise `error` if there is none, or if it was removed."""
        updated = self._db.nodes.update_one(_present(node_id), update)
        if error is not None and not updated.matched_count:
            raise error

    def _read_all(self) -> NodesSnapshot:
        now = self._db.server_time()
        order = [("created_at", 1), ("_id", 1)]
        nodes = map(read_node, self._db.nodes.find({"removed_at": None}).sort(order))
        return NodesSnapshot(now, {node.id: node for node in nodes})


def _present(node_id: str) -> Document:
    return {"_id": node_id, "removed_at": None}


def _unknown(node_id: str) -> NotFound:
    return NotFound(f"There is no node {node_id[:100]}.")


def _code_sha256(code: str) -> str:
    """Hash a code in any case, with or without its hyphens and spaces."""
    return sha256("".join(sign for sign in code.upper() if sign.isalnum()))


def read_node(document: Mapping[str, Any]) -> Node:
    """Read a document of `nodes`; use defaults for missing or odd fields."""
    report = documents.read_mapping(document.get("report"))
    return Node(
        id=str(document["_id"]),
        name=documents.read_text(document.get("name")) or str(document["_id"]),
        platform=documents.read_text(document.get("platform")) or "",
        priority=documents.read_count(document.get("priority")),
        model=documents.read_text(document.get("model")),
        is_enabled=document.get("is_enabled") is not False,
        created_at=documents.read_time(document.get("created_at")),
        seen_at=documents.read_time(document.get("seen_at")),
        worker_state=documents.read_text(report.get("state")) or "",
        slots=documents.read_count(report.get("slots")),
        reported_chunks=documents.read_count(report.get("chunks")),
        jobs=tuple(map(_read_job, documents.read_list(document.get("jobs")))),
        jobs_at=documents.read_time(document.get("jobs_at")),
        asked_test=_read_asked_test(documents.read_mapping(document.get("test"))),
        last_test=_read_last_test(documents.read_mapping(document.get("last_test"))),
    )


def _read_job(value: Any) -> Job:
    job = documents.read_mapping(value)
    return Job(
        chunk_ids=tuple(map(str, documents.read_list(job.get("chunk_ids")))),
        filename=documents.read_text(job.get("filename")) or "",
        seconds=documents.read_number(job.get("seconds")) or 0.0,
        elapsed_seconds=documents.read_number(job.get("elapsed_seconds")) or 0.0,
    )


def _read_asked_test(test: Mapping[str, Any]) -> AskedTest | None:
    id_, asked_at = documents.read_text(test.get("id")), documents.read_time(test.get("asked_at"))
    return AskedTest(id_, asked_at) if id_ and asked_at else None


def _read_last_test(test: Mapping[str, Any]) -> NodeTest | None:
    if not isinstance(test.get("ok"), bool):
        return None
    return NodeTest(
        ok=test["ok"],
        detail=documents.read_text(test.get("detail")) or "",
        milliseconds=documents.read_number(test.get("milliseconds")),
        at=documents.read_time(test.get("at")),
    )
