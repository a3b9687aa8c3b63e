"""Nodes as the coordinator tells of them: to people, and to each node about itself."""

from collections import defaultdict
from datetime import datetime

from pydantic import BaseModel

from stt.coordinator.context import Coordinator
from stt.coordinator.store.nodes import Node
from stt.coordinator.store.options import Options
from stt.domain.node import Job, NodeState, NodeTest
from stt.remote.messages import NodeSettings, Rules
from stt.settings import Settings
from stt.store.workers import MongoRoster, WorkerStatus


class NodeTestOut(BaseModel):
    """`milliseconds` from the question to the node's answer; None without an answer."""

    ok: bool
    milliseconds: float | None
    detail: str

    @classmethod
    def of(cls, test: NodeTest) -> "NodeTestOut":
        return cls(ok=test.ok, milliseconds=test.milliseconds, detail=test.detail)


class LastTestOut(NodeTestOut):
    """`at`: when it ended."""

    at: datetime | None


class NodeWorkerOut(BaseModel):
    """A process that works for a node; `chunks` are in work, `age_seconds` since its heartbeat."""

    id: str
    host: str
    server: str
    state: str
    slots: int
    chunks: list[str]
    counts: dict[str, int]
    age_seconds: float
    is_alive: bool
    node_id: str


class NodeOut(BaseModel):
    """A node. Higher `priority` is served first while work is scarce; `model`: null for its own
    choice; `seen_at`: its last heartbeat."""

    id: str
    name: str
    platform: str
    priority: int
    model: str | None
    is_enabled: bool
    created_at: datetime | None
    seen_at: datetime | None
    state: NodeState
    jobs: tuple[Job, ...]
    workers: list[NodeWorkerOut]
    last_test: LastTestOut | None


def nodes_out(coordinator: Coordinator, max_age_seconds: float = 0.0) -> list[NodeOut]:
    """All nodes, as they were at most `max_age_seconds` ago. Raises DatabaseUnavailable."""
    look = coordinator.registry.look(max_age_seconds)
    if not look.nodes:
        return []
    workers: dict[str, list[WorkerStatus]] = defaultdict(list)
    for member in MongoRoster(coordinator.database).members():
        workers[member.id.rpartition("_")[0]].append(member)
    offline_seconds = coordinator.options.offline_seconds
    return [
        _node_out(node, workers[node.id], look.at, offline_seconds) for node in look.nodes.values()
    ]


def node_out(coordinator: Coordinator, node: Node) -> NodeOut:
    """One node as it is now. Raises DatabaseUnavailable."""
    workers = [
        member
        for member in MongoRoster(coordinator.database).members()
        if member.id.rpartition("_")[0] == node.id
    ]
    now = coordinator.database.server_time()
    return _node_out(node, workers, now, coordinator.options.offline_seconds)


def node_settings(node: Node, settings: Settings, options: Options) -> NodeSettings:
    """What a node is told about itself."""
    return NodeSettings(
        id=node.id,
        name=node.name,
        priority=node.priority,
        model=node.model,
        is_enabled=node.is_enabled,
        rules=Rules(
            lease_seconds=settings.lease_seconds,
            max_attempts=settings.max_attempts,
            max_expirations=settings.max_expirations,
            chunk_timeout_seconds=options.chunk_timeout_seconds,
            heartbeat_seconds=options.heartbeat_seconds,
        ),
    )


def _node_out(
    node: Node, workers: list[WorkerStatus], now: datetime, offline_seconds: float
) -> NodeOut:
    state = node.state(now, offline_seconds)
    # A node that is started often leaves many behind it: the last one is enough to look at.
    shown = [member for member in workers if member.is_alive] or workers[:1]
    test = node.last_test
    return NodeOut(
        id=node.id,
        name=node.name,
        platform=node.platform,
        priority=node.priority,
        model=node.model,
        is_enabled=node.is_enabled,
        created_at=node.created_at,
        seen_at=node.seen_at,
        state=state,
        jobs=() if state == "offline" else node.current_jobs(now),
        workers=[_worker_out(member, node) for member in shown],
        last_test=None
        if test is None
        else LastTestOut(
            at=test.at, ok=test.ok, milliseconds=test.milliseconds, detail=test.detail
        ),
    )


def _worker_out(member: WorkerStatus, node: Node) -> NodeWorkerOut:
    report = member.report
    return NodeWorkerOut(
        id=member.id,
        host=report.host,
        server=report.server,
        state=report.state,
        slots=report.slots,
        chunks=list(report.chunks),
        counts=dict(report.counts),
        age_seconds=member.age_seconds,
        is_alive=member.is_alive,
        node_id=node.id,
    )
