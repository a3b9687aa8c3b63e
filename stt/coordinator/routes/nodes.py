"""Nodes: they join and send heartbeats, and people manage them."""

import asyncio
import time

from fastapi import APIRouter, Request, WebSocket
from starlette.concurrency import run_in_threadpool

from stt.coordinator import context
from stt.coordinator.authenticator import Principal, address_of
from stt.coordinator.context import CurrentPrincipal, InCoordinator
from stt.coordinator.errors import Forbidden, Unprocessable
from stt.coordinator.live.node_monitor import NodeMonitor
from stt.coordinator.live.node_socket import NodeSocket
from stt.coordinator.openapi import error_responses
from stt.coordinator.schemas import nodes as schemas
from stt.coordinator.store.nodes import JoinCode
from stt.domain.node import TEST_SECONDS, Node, NodeTest
from stt.remote.messages import NodeSettings, ReportMessage
from stt.store import claims

router = APIRouter(tags=["nodes"])
_people = APIRouter(prefix="/api/nodes", dependencies=[context.PEOPLE_ONLY])
_nodes = APIRouter(prefix="/api/nodes")

_POLL_SECONDS = 0.3
_POLICY_VIOLATION = 1008


@_people.post("/join-codes", status_code=201, summary="A code for machines to join with")
def new_join_code(coordinator: InCoordinator) -> JoinCode:
    return coordinator.registry.new_join_code(coordinator.options.join_code_minutes)


@_people.delete("/join-codes", status_code=204, summary="Makes all join codes invalid")
def revoke_join_codes(coordinator: InCoordinator) -> None:
    coordinator.registry.revoke_join_codes()


@_nodes.post("/register", status_code=201, summary="Joins with a join code, without key")
def register(
    request: Request, coordinator: InCoordinator, machine: schemas.NodeRegistration
) -> schemas.NodeCredentials:
    with coordinator.authenticator.throttled("join", address_of(request)):
        node, key = coordinator.registry.register(machine.code, machine.name, machine.platform)
    settings = schemas.node_settings(node, coordinator.options)
    return schemas.NodeCredentials(node=settings, api_key=key)


@_people.get("", summary="All nodes")
def nodes(coordinator: InCoordinator) -> schemas.NodeList:
    snapshot = coordinator.registry.snapshot()
    return schemas.NodeList(nodes=schemas.describe_nodes(coordinator, snapshot))


@_people.post("", status_code=201, summary="Adds a node by hand")
def add(coordinator: InCoordinator, new: schemas.NewNode) -> schemas.AddedNode:
    node, key = coordinator.registry.add(new.name)
    return schemas.AddedNode(node=schemas.describe_node(coordinator, node), api_key=key)


@_nodes.get("/{node_id}", summary="One node", responses=error_responses(404))
def node(coordinator: InCoordinator, principal: CurrentPrincipal, node_id: str) -> schemas.NodeOut:
    context.check_node(principal, node_id)
    return schemas.describe_node(coordinator, coordinator.registry.get(node_id))


@_nodes.patch(
    "/{node_id}",
    summary="Renames a node, or changes how it works; a node may change its own name",
    responses=error_responses(404),
)
def change_node(
    coordinator: InCoordinator,
    principal: CurrentPrincipal,
    node_id: str,
    change: schemas.NodeChange,
) -> schemas.NodeOut:
    context.check_node(principal, node_id)
    fields = change.model_dump(exclude_unset=True)
    if isinstance(principal, Node) and fields.keys() - {"name"}:
        raise Forbidden("A node may change its name only.")
    for name, value in fields.items():
        if value is None and name != "model":
            raise Unprocessable(f"{name}: it cannot be null")
    return schemas.describe_node(coordinator, coordinator.registry.change(node_id, fields))


@_nodes.delete(
    "/{node_id}",
    status_code=204,
    summary="Removes a node: what it transcribes is pending again, and its key opens nothing more",
    responses=error_responses(404),
)
def remove(coordinator: InCoordinator, principal: CurrentPrincipal, node_id: str) -> None:
    context.check_node(principal, node_id)
    coordinator.registry.remove(node_id)
    claims.release_of_node(coordinator.database, node_id)
    coordinator.roster.forget(node_id)


@_nodes.post("/{node_id}/heartbeat", summary="A node reports that it lives, and its state")
def heartbeat(
    coordinator: InCoordinator, principal: CurrentPrincipal, node_id: str, message: ReportMessage
) -> NodeSettings:
    node = _node_itself(principal, node_id)
    context.check_worker(node, message.worker_id)
    coordinator.registry.record_heartbeat(node_id, message)
    coordinator.roster.report(message.worker_id, message)
    return schemas.node_settings(node, coordinator.options)


@_nodes.post("/{node_id}/restarted", summary="A node gives back what it held before it was started")
def restarted(
    coordinator: InCoordinator,
    principal: CurrentPrincipal,
    node_id: str,
    started: schemas.WorkerStart,
) -> schemas.ReleasedCount:
    context.check_worker(_node_itself(principal, node_id), started.worker_id)
    released = claims.release_of_node(coordinator.database, node_id, started.worker_id)
    coordinator.roster.forget(node_id, started.worker_id)
    return schemas.ReleasedCount(released=released)


@_people.post(
    "/{node_id}/test",
    summary="Asks a node by its own channel whether it could work, and waits for the answer",
    responses=error_responses(404),
)
async def test(coordinator: InCoordinator, node_id: str) -> schemas.NodeTestResult:
    registry = coordinator.registry
    offline_seconds = (await run_in_threadpool(lambda: coordinator.options)).offline_seconds
    node = await run_in_threadpool(registry.get, node_id)
    now = await run_in_threadpool(coordinator.database.server_time)
    if node.state(now, offline_seconds) == "offline":
        return schemas.NodeTestResult(ok=False, milliseconds=None, detail="It is offline.")
    await run_in_threadpool(registry.request_test, node_id)
    deadline = time.monotonic() + TEST_SECONDS
    while time.monotonic() < deadline and not coordinator.closing.is_set():
        node = await run_in_threadpool(registry.get, node_id)
        if node.asked_test is None and node.last_test is not None:
            return schemas.NodeTestResult.model_validate(node.last_test)
        await asyncio.sleep(_POLL_SECONDS)
    failed = NodeTest(ok=False, detail=f"It did not answer within {TEST_SECONDS:.0f} s.")
    if node.asked_test is not None:
        await run_in_threadpool(registry.end_test, node_id, node.asked_test.id, failed)
    return schemas.NodeTestResult.model_validate(failed)


@router.websocket("/ws/worker/{node_id}")
async def node_socket(
    socket: WebSocket, coordinator: InCoordinator, principal: CurrentPrincipal, node_id: str
) -> None:
    """Send a node its settings, tests and lost claims, and receive its progress."""
    try:
        node = _node_itself(principal, node_id)
    except Forbidden as error:
        await socket.close(_POLICY_VIOLATION, str(error))  # before it is accepted: 403
        return
    await socket.accept()
    monitor: NodeMonitor = socket.app.state.node_monitor
    await NodeSocket(socket, coordinator, monitor, node).serve()


def _node_itself(principal: Principal, node_id: str) -> Node:
    """Return the node that makes this request. Raises Forbidden for all others."""
    context.check_node(principal, node_id)
    if not isinstance(principal, Node):
        raise Forbidden("This is for the node itself.")
    return principal


# `/join-codes` before `/{node_id}`.
router.include_router(_people)
router.include_router(_nodes)
