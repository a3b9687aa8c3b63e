"""Nodes: as people see them, and what a node is sent about itself."""

from collections import defaultdict
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from stt.coordinator.context import Coordinator
from stt.coordinator.schemas.base import Schema
from stt.coordinator.schemas.status import WorkerOut
from stt.coordinator.store.nodes import NodesSnapshot
from stt.domain.field_types import NoBoolean
from stt.domain.node import Job, Node, NodeState, NodeTest, clean_name, clean_text
from stt.domain.worker_id import WorkerId
from stt.remote.messages import NodeSettings
from stt.remote.messages import WorkerId as NodeWorkerId
from stt.settings import Settings
from stt.store.workers import WorkerStatus

_Name = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(clean_name)]
_Platform = Annotated[str, StringConstraints(max_length=200), AfterValidator(clean_text)]


class NodeOut(Schema):
    """A node. A higher `priority` is served first while work is scarce.

    `model`: null for its own choice. `seen_at`: its last heartbeat.
    """

    id: str
    name: str
    platform: str
    priority: int
    model: str | None
    is_enabled: bool
    created_at: datetime | None
    seen_at: datetime | None
    state: NodeState
    jobs: list[Job]
    workers: list[WorkerOut]
    last_test: NodeTest | None


class NodeList(BaseModel):
    """All nodes, in the order in which they joined."""

    nodes: list[NodeOut]


class NodeTestResult(Schema):
    """`milliseconds` from the request to the node's answer; null without an answer."""

    ok: bool
    milliseconds: float | None
    detail: str


class NodeRegistration(BaseModel):
    """A machine that has a join code; `platform`: its system, in its own words."""

    code: Annotated[str, StringConstraints(max_length=100)]
    name: _Name
    platform: _Platform = ""


class NodeCredentials(BaseModel):
    """A node that has joined; `api_key` cannot be read again."""

    node: NodeSettings
    api_key: str


class NewNode(BaseModel):
    """A node that a person adds by hand."""

    name: _Name


class AddedNode(BaseModel):
    """`api_key` belongs into the node's own settings, and cannot be read again."""

    node: NodeOut
    api_key: str


class NodeChange(BaseModel):
    """Fields left out stay as they are; `model: null` leaves the choice to the node."""

    name: _Name | None = None
    priority: Annotated[int, Field(ge=-1_000, le=1_000), NoBoolean] | None = None
    model: _Name | None = None
    is_enabled: bool | None = None


class WorkerStart(BaseModel):
    """The worker that a node has just started; the chunks of its others become pending."""

    worker_id: NodeWorkerId


class ReleasedCount(BaseModel):
    """How many chunks are pending again."""

    released: int


def describe_nodes(coordinator: Coordinator, snapshot: NodesSnapshot) -> list[NodeOut]:
    """Describe all nodes of a snapshot. Raises DatabaseUnavailable."""
    workers: dict[str, list[WorkerStatus]] = defaultdict(list)
    for worker in coordinator.roster.members() if snapshot.nodes else ():
        workers[WorkerId(worker.id).owner].append(worker)
    offline_seconds, described = coordinator.options.offline_seconds, []
    for node in snapshot.nodes.values():
        state, own = node.state(snapshot.at, offline_seconds), workers[node.id]
        # A node that is started often leaves many stopped workers: the latest one is enough.
        shown = [worker for worker in own if worker.is_alive] or own[:1]
        computed = {
            "state": state,
            "jobs": () if state == "offline" else node.current_jobs(snapshot.at),
            "workers": [WorkerOut.of(worker, {node.id}) for worker in shown],
        }
        described.append(NodeOut.model_validate(asdict(node) | computed))
    return described


def describe_node(coordinator: Coordinator, node: Node) -> NodeOut:
    """Describe one node as it is now. Raises DatabaseUnavailable."""
    now = coordinator.database.server_time()
    return describe_nodes(coordinator, NodesSnapshot(now, {node.id: node}))[0]


def node_settings(node: Node, options: Settings) -> NodeSettings:
    """Return what a node is sent about itself; `options` are those of the coordinator."""
    return NodeSettings.model_validate({**asdict(node), "rules": options})
