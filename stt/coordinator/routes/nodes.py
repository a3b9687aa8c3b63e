"""Nodes: they join and send heartbeats, and people manage them."""

import asyncio
import time

from fastapi import APIRouter, Request, WebSocket
from starlette.concurrency import run_in_threadpool

from stt.coordinator.authenticator import Principal, address_of
from stt.coordinator.context import (
    PEOPLE_ONLY,
    Coordinator,
    CurrentPrincipal,
    InCoordinator,
    check_node,
    check_worker,
)
from stt.coordinator.errors import Forbidden, Unprocessable
from stt.coordinator.live.node_monitor import NodeMonitor
from stt.coordinator.live.node_socket import NodeSocket
from stt.coordinator.openapi import error_responses
from stt.coordinator.schemas.nodes import (
    AddedNode,
    NewNode,
    NodeChange,
    NodeCredentials,
    NodeList,
    NodeOut,
    NodeRegistration,
    NodeTestResult,
    ReleasedCount,
    WorkerStart,
    describe_node,
    describe_nodes,
    node_settings,
)
from stt.coordinator.store.nodes import JoinCode, Node
from stt.domain.node import TEST_SECONDS, NodeTest
from stt.remote.messages import NodeSettings, ReportMessage
from stt.store import claims
from stt.store.workers import MongoRoster

router = APIRouter(tags=["nodes"])

_POLL_SECONDS = 0.3
_POLICY_VIOLATION = 1008


@router.post(
    "/api/nodes/join-codes",
    status_code=201,
    dependencies=[PEOPLE_ONLY],
    summary="A code with which machines may join for a while",
)
def new_join_code(coordinator: InCoordinator) -> JoinCode:
    return coordinator.registry.new_join_code(coordinator.options.join_code_minutes)


@router.delete(
    "/api/nodes/join-codes",
    status_code=204,
    dependencies=[PEOPLE_ONLY],
    summary="Makes all join codes invalid",
)
def revoke_join_codes(coordinator: InCoordinator) -> None:
    coordinator.registry.revoke_join_codes()


@router.post("/api/nodes/register", status_code=201, summary="Joins with a join code, without key")
def register(
    request: Request, coordinator: InCoordinator, machine: NodeRegistration
) -> NodeCredentials:
    with coordinator.authenticator.throttled("join", address_of(request)):
        node, key = coordinator.registry.register(machine.code, machine.name, machine.platform)
    return NodeCredentials(node=_settings(coordinator, node), api_key=key)


@router.get("/api/nodes", dependencies=[PEOPLE_ONLY], summary="All nodes")
def nodes(coordinator: InCoordinator) -> NodeList:
    return NodeList(nodes=describe_nodes(coordinator, coordinator.registry.snapshot()))


@router.post(
    "/api/nodes", status_code=201, dependencies=[PEOPLE_ONLY], summary="Adds a node by hand"
)
def add(coordinator: InCoordinator, new: NewNode) -> AddedNode:
    node, key = coordinator.registry.add(new.name)
    return AddedNode(node=describe_node(coordinator, node), api_key=key)


@router.get("/api/nodes/{node_id}", summary="One node", responses=error_responses(404))
def node(coordinator: InCoordinator, principal: CurrentPrincipal, node_id: str) -> NodeOut:
    check_node(principal, node_id)
    return describe_node(coordinator, coordinator.registry.get(node_id))


@router.patch(
    "/api/nodes/{node_id}",
    summary="Renames a node, or changes how it works; a node may change its own name",
    responses=error_responses(404),
)
def change_node(
    coordinator: InCoordinator, principal: CurrentPrincipal, node_id: str, change: NodeChange
) -> NodeOut:
    check_node(principal, node_id)
    fields = change.model_dump(exclude_unset=True)
    if isinstance(principal, Node) and fields.keys() - {"name"}:
        raise Forbidden("A node may change its name only.")
    for name, value in fields.items():
        if value is None and name != "model":
            raise Unprocessable(f"{name}: it cannot be null")
    return describe_node(coordinator, coordinator.registry.change(node_id, fields))


@router.delete(
    "/api/nodes/{node_id}",
    status_code=204,
    summary="Removes a node: what it has in work is pending again, and its key opens nothing more",
    responses=error_responses(404),
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
    worker_report = report.to_report()
    coordinator.registry.record_heartbeat(node_id, worker_report)
    MongoRoster(coordinator.database).report(report.worker_id, worker_report)
    return _settings(coordinator, node)


@router.post(
    "/api/nodes/{node_id}/restarted", summary="A node gives back what it held before it was started"
)
def restarted(
    coordinator: InCoordinator, principal: CurrentPrincipal, node_id: str, started: WorkerStart
) -> ReleasedCount:
    node = _itself(principal, node_id)
    check_worker(node, started.worker_id)
    released = claims.release_of_node(coordinator.database, node_id, started.worker_id)
    MongoRoster(coordinator.database).forget(node_id, started.worker_id)
    return ReleasedCount(released=released)


@router.post(
    "/api/nodes/{node_id}/test",
    dependencies=[PEOPLE_ONLY],
    summary="Asks a node by its own channel whether it could work, and waits for the answer",
    responses=error_responses(404),
)
async def test(coordinator: InCoordinator, node_id: str) -> NodeTestResult:
    offline_seconds = (await run_in_threadpool(lambda: coordinator.options)).offline_seconds
    node = await run_in_threadpool(coordinator.registry.get, node_id)
    now = await run_in_threadpool(coordinator.database.server_time)
    if node.state(now, offline_seconds) == "offline":
        return NodeTestResult(ok=False, milliseconds=None, detail="It is offline.")
    await run_in_threadpool(coordinator.registry.request_test, node_id)
    until = time.monotonic() + TEST_SECONDS
    while time.monotonic() < until and not coordinator.closing.is_set():
        node = await run_in_threadpool(coordinator.registry.get, node_id)
        if node.asked_test is None and node.last_test is not None:
            return NodeTestResult.model_validate(node.last_test)
        await asyncio.sleep(_POLL_SECONDS)
    failed = NodeTest(ok=False, detail=f"It did not answer within {TEST_SECONDS:.0f} s.")
    if node.asked_test is not None:
        await run_in_threadpool(coordinator.registry.end_test, node_id, node.asked_test.id, failed)
    return NodeTestResult.model_validate(failed)


@router.websocket("/ws/worker/{node_id}")
async def node_socket(
    socket: WebSocket, coordinator: InCoordinator, principal: CurrentPrincipal, node_id: str
) -> None:
    """A node's own WebSocket; see live/node_socket.py."""
    try:
        node = _itself(principal, node_id)
    except Forbidden as error:
        await socket.close(_POLICY_VIOLATION, str(error))  # before it is accepted: 403
        return
    await socket.accept()
    monitor: NodeMonitor = socket.app.state.node_monitor
    await NodeSocket(socket, coordinator, monitor, node).serve()


def _itself(principal: Principal, node_id: str) -> Node:
    """Return the node that makes this request. Raises Forbidden for all others."""
    check_node(principal, node_id)
    if not isinstance(principal, Node):
        raise Forbidden("This is for the node itself.")
    return principal


def _settings(coordinator: Coordinator, node: Node) -> NodeSettings:
    return node_settings(node, coordinator.settings, coordinator.options)
