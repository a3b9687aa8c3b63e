"""Nodes: they join, tell that they live, and are looked after by people."""

import asyncio
import time
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request, WebSocket
from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from starlette.concurrency import run_in_threadpool

from stt.coordinator.answers import refusals
from stt.coordinator.authenticator import Principal, address_of
from stt.coordinator.context import (
    PEOPLE_ONLY,
    Coordinator,
    CurrentPrincipal,
    InCoordinator,
    check_node,
    check_worker,
    coordinator_of,
    principal_of,
)
from stt.coordinator.errors import Forbidden, Unprocessable
from stt.coordinator.live.node_monitor import watch_of
from stt.coordinator.live.node_socket import NodeSocket
from stt.coordinator.schemas.nodes import NodeOut, NodeTestOut, node_out, node_settings, nodes_out
from stt.coordinator.store.nodes import Node, NodeChange
from stt.domain.node import TEST_SECONDS, NodeTest, clean_name, clean_text
from stt.errors import KeyRejected
from stt.remote.messages import NodeSettings, ReportMessage, WorkerId
from stt.store import claims
from stt.store.workers import MongoRoster

router = APIRouter(tags=["nodes"])

_LOOK_SECONDS = 0.3
_NOT_FOR_YOU = 1008

_Name = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(clean_name)]
_Platform = Annotated[str, StringConstraints(max_length=200), AfterValidator(clean_text)]


class JoinCodeOut(BaseModel):
    """Any number of machines may join with it until `expires_at`; it cannot be read again."""

    code: str
    expires_at: datetime


class Registering(BaseModel):
    """A machine that has a join code; `platform` is what it says of itself, such as its system."""

    code: Annotated[str, StringConstraints(max_length=100)]
    name: _Name
    platform: _Platform = ""


class Registered(BaseModel):
    """`api_key` cannot be read again."""

    node: NodeSettings
    api_key: str


class Adding(BaseModel):
    """A node that a person adds by hand."""

    name: _Name


class Added(BaseModel):
    """`api_key` cannot be read again: it belongs into the node's own settings."""

    node: NodeOut
    api_key: str


class NodesOut(BaseModel):
    """All nodes, in the order in which they joined."""

    nodes: list[NodeOut]


class Changing(BaseModel):
    """What is not named stays; `model: null` leaves the choice to the node."""

    name: _Name | None = None
    priority: Annotated[int, Field(ge=-1_000, le=1_000)] | None = None
    model: _Name | None = None
    is_enabled: bool | None = None

    def to_change(self) -> NodeChange:
        """Raises Unprocessable if something is to become null that cannot."""
        change: NodeChange = {}
        for field in self.model_fields_set:
            value = getattr(self, field)
            if value is None and field != "model":
                raise Unprocessable(f"{field}: it cannot be null")
            change[field] = value  # type: ignore[literal-required]
        return change


class Restarted(BaseModel):
    """The worker that a node has just started; what its others hold is given back."""

    worker_id: WorkerId


class Released(BaseModel):
    """How many chunks are pending again."""

    released: int


@router.post(
    "/api/nodes/join-codes",
    status_code=201,
    dependencies=[PEOPLE_ONLY],
    summary="A code with which machines may join for a while",
)
def new_join_code(coordinator: InCoordinator) -> JoinCodeOut:
    made = coordinator.registry.new_join_code(coordinator.options.join_code_minutes)
    return JoinCodeOut(code=made.code, expires_at=made.expires_at)


@router.delete(
    "/api/nodes/join-codes",
    status_code=204,
    dependencies=[PEOPLE_ONLY],
    summary="Makes all join codes invalid",
)
def revoke_join_codes(coordinator: InCoordinator) -> None:
    coordinator.registry.revoke_join_codes()


@router.post("/api/nodes/register", status_code=201, summary="Joins with a join code, without key")
def register(request: Request, coordinator: InCoordinator, machine: Registering) -> Registered:
    authenticator, address = coordinator.authenticator, address_of(request)
    authenticator.check_open("join", address)
    try:
        node, key = coordinator.registry.register(machine.code, machine.name, machine.platform)
    except KeyRejected as error:
        authenticator.refuse("join", address, str(error))
    authenticator.forgive("join", address)
    return Registered(node=_settings(coordinator, node), api_key=key)


@router.get("/api/nodes", dependencies=[PEOPLE_ONLY], summary="All nodes")
def nodes(coordinator: InCoordinator) -> NodesOut:
    return NodesOut(nodes=nodes_out(coordinator))


@router.post(
    "/api/nodes", status_code=201, dependencies=[PEOPLE_ONLY], summary="Adds a node by hand"
)
def add(coordinator: InCoordinator, adding: Adding) -> Added:
    node, key = coordinator.registry.add(adding.name)
    return Added(node=node_out(coordinator, node), api_key=key)


@router.get("/api/nodes/{node_id}", summary="One node", responses=refusals(404))
def node(coordinator: InCoordinator, principal: CurrentPrincipal, node_id: str) -> NodeOut:
    check_node(principal, node_id)
    return node_out(coordinator, coordinator.registry.get(node_id))


@router.patch(
    "/api/nodes/{node_id}",
    summary="Renames a node, or changes how it works; a node may change its own name",
    responses=refusals(404),
)
def change(
    coordinator: InCoordinator, principal: CurrentPrincipal, node_id: str, changing: Changing
) -> NodeOut:
    check_node(principal, node_id)
    if isinstance(principal, Node) and changing.model_fields_set - {"name"}:
        raise Forbidden("A node may change its name only.")
    changed = coordinator.registry.change(node_id, changing.to_change())
    return node_out(coordinator, changed)


@router.delete(
    "/api/nodes/{node_id}",
    status_code=204,
    summary="Removes a node: what it has in work is pending again, and its key opens nothing more",
    responses=refusals(404),
)
def remove(coordinator: InCoordinator, principal: CurrentPrincipal, node_id: str) -> None:
    check_node(principal, node_id)
    coordinator.registry.remove(node_id)
    claims.release_of_node(coordinator.database, node_id)
    MongoRoster(coordinator.database).forget(node_id)


@router.post("/api/nodes/{node_id}/heartbeat", summary="A node tells that it lives, and how")
def heartbeat(
    coordinator: InCoordinator, principal: CurrentPrincipal, node_id: str, report: ReportMessage
) -> NodeSettings:
    node = _itself(principal, node_id)
    check_worker(node, report.worker_id)
    told = report.to_report()
    coordinator.registry.heard_of(node_id, told)
    MongoRoster(coordinator.database).report(report.worker_id, told)
    return _settings(coordinator, node)


@router.post(
    "/api/nodes/{node_id}/restarted", summary="A node gives back what it held before it was started"
)
def restarted(
    coordinator: InCoordinator, principal: CurrentPrincipal, node_id: str, started: Restarted
) -> Released:
    node = _itself(principal, node_id)
    check_worker(node, started.worker_id)
    released = claims.release_of_node(coordinator.database, node_id, started.worker_id)
    MongoRoster(coordinator.database).forget(node_id, started.worker_id)
    return Released(released=released)


@router.post(
    "/api/nodes/{node_id}/test",
    dependencies=[PEOPLE_ONLY],
    summary="Asks a node by its own channel whether it could work, and waits for the answer",
    responses=refusals(404),
)
async def test(coordinator: InCoordinator, node_id: str) -> NodeTestOut:
    offline_seconds = (await run_in_threadpool(lambda: coordinator.options)).offline_seconds
    node = await run_in_threadpool(coordinator.registry.get, node_id)
    now = await run_in_threadpool(coordinator.database.server_time)
    if node.state(now, offline_seconds) == "offline":
        return NodeTestOut(ok=False, milliseconds=None, detail="It is offline.")
    await run_in_threadpool(coordinator.registry.ask_for_test, node_id)
    until = time.monotonic() + TEST_SECONDS
    while time.monotonic() < until and not coordinator.closing.is_set():
        node = await run_in_threadpool(coordinator.registry.get, node_id)
        if node.asked_test is None and node.last_test is not None:
            return NodeTestOut.of(node.last_test)
        await asyncio.sleep(_LOOK_SECONDS)
    silent = NodeTest(ok=False, detail=f"It did not answer within {TEST_SECONDS:.0f} s.")
    if node.asked_test is not None:
        await run_in_threadpool(coordinator.registry.end_test, node_id, node.asked_test.id, silent)
    return NodeTestOut.of(silent)


@router.websocket("/ws/worker/{node_id}")
async def channel(socket: WebSocket, node_id: str) -> None:
    """A node's own channel: see node_channel.py."""
    try:
        node = _itself(principal_of(socket), node_id)
    except Forbidden as error:
        await socket.close(_NOT_FOR_YOU, str(error))  # before it is accepted: 403
        return
    await socket.accept()
    registry = coordinator_of(socket).registry
    await NodeSocket(socket, registry, watch_of(socket), node).serve()


def _itself(principal: Principal, node_id: str) -> Node:
    """Raises Forbidden for anybody but this node."""
    check_node(principal, node_id)
    if not isinstance(principal, Node):
        raise Forbidden("This is for the node itself.")
    return principal


def _settings(coordinator: Coordinator, node: Node) -> NodeSettings:
    return node_settings(node, coordinator.settings, coordinator.options)
