"""Nodes on machines of their own, which reach a coordinator and nothing else; one is cut off.

Each is a real `stt node start` in a network namespace, with a whisper stand-in beside it. The
database listens on this machine's loopback address alone. While the first node waits for its
server its cable is pulled, until its claims have run out and others have them; then it is plugged
in again, and its server answers: what it offers now is too late.
"""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bson import ObjectId

from stt.domain.worker_id import WorkerId
from stt.store.database import Database
from tools.chaos_lab import checker, history, http_history
from tools.chaos_lab.coordinators import ask, coordinator_server
from tools.chaos_lab.evidence import Fact, Report, Run, WorkerEnd
from tools.chaos_lab.far_node import CALLS_AT_ONCE, FarNode, until
from tools.chaos_lab.feed import Feed
from tools.chaos_lab.folders import Folders
from tools.chaos_lab.history import ACCEPTED, REFUSED, Operation
from tools.chaos_lab.network import Network, network
from tools.chaos_lab.processes import DATABASE_NAME, Server, database_server, mongo_url

_MAX_ATTEMPTS = 3
_MAX_EXPIRATIONS = 100  # a short lease runs out again and again on a busy machine
_CHUNK_TIMEOUT_SECONDS = 300.0  # longer than calls hang here, on a slow machine too


@dataclass(frozen=True)
class Plan:
    """How much, for how long; the cable stays out for `cut_leases` at least."""

    nodes: int = 2
    chunks: int = 36
    lease_seconds: float = 3.0
    cut_leases: float = 1.5


@dataclass
class NodeResult:
    """What became of a node. `to_database` is what its attempts to connect to that came to.

    `late`: what it was told about the claims that it held when it was cut off, afterwards.
    """

    name: str
    address: str
    to_database: list[str]
    to_coordinator: str
    results: int = 0
    lost: int = 0
    late: list[Operation] = field(default_factory=list)


@dataclass(frozen=True)
class Result:
    """`cut_seconds` is how long the first node was on its own."""

    nodes: list[NodeResult]
    report: Report
    transcribed: int
    cut_seconds: float

    @property
    def shortcomings(self) -> list[str]:
        """Why it is no proof, a sentence each."""
        found = [
            f"{node.name} reaches the database"
            for node in self.nodes
            if "reached" in node.to_database
        ]
        late = self.nodes[0].late
        if not any(op.outcome == REFUSED for op in late):
            found.append("the node that was cut off was refused nothing: it tested nothing")
        if any(op.outcome == ACCEPTED for op in late):
            found.append("the node that was cut off was believed after its claims had run out")
        return found


def run(plan: Plan, folder: Path, say: Callable[[str], None]) -> Result:
    """Raises RuntimeError if something does not come up, or gets stuck. Leaves logs in `folder`."""
    folders = Folders(folder)
    folders.make()
    facts = {ObjectId(): Fact(number) for number in range(plan.chunks)}
    with contextlib.ExitStack() as closing:
        net = closing.enter_context(network(plan.nodes))
        database_process = database_server(folder / "database", folders.logs)
        _started(closing, database_process)
        url = mongo_url(database_process.port)
        database = closing.enter_context(Database(url, DATABASE_NAME))
        database.ensure_indexes()
        coordinator = coordinator_server(
            "coordinator-1",
            database_process.port,
            folders,
            _settings(plan),
            address=net.address,
        )
        _started(closing, coordinator)
        nodes = _nodes(closing, net, folders, coordinator)
        results = [_reaches(node, net, database_process, coordinator) for node in nodes]
        for node in nodes:
            node.turn(mood="hang")
        # Only now: a fast node would do all the work while a slow one starts.
        Feed(facts).add(database, plan.chunks)
        say(f"{plan.nodes} nodes at work, {plan.chunks} chunks")
        cut_at, cut_seconds, held = _cut_off(nodes, database, plan, say)
        try:
            until(lambda: _is_done(database, plan), "the rest of the chunks")
        except RuntimeError as error:
            raise RuntimeError(f"{error}: {_open_chunks(database)}") from error
        ends = [node.end() for node in nodes]
        evidence = _evidence(plan, folders, facts, database, ends)
    for node, result in zip(nodes, results, strict=True):
        _count(evidence, node.actor, result)
    results[0].late = _late(evidence, held, cut_at + cut_seconds)
    transcribed = sum(document["transcribed_at"] is not None for document in evidence.documents)
    return Result(results, checker.check(evidence), transcribed, cut_seconds)


def _settings(plan: Plan) -> dict[str, str]:
    return {
        "DATABASE_NAME": DATABASE_NAME,
        "LEASE_SECONDS": str(plan.lease_seconds),
        "CHUNK_TIMEOUT": str(_CHUNK_TIMEOUT_SECONDS),
        "MAX_ATTEMPTS": str(_MAX_ATTEMPTS),
        "MAX_EXPIRATIONS": str(_MAX_EXPIRATIONS),
    }


def _started(closing: contextlib.ExitStack, server: Server) -> None:
    closing.callback(server.close)
    server.start()
    server.wait()


def _nodes(
    closing: contextlib.ExitStack, net: Network, folders: Folders, coordinator: Server
) -> list[FarNode]:
    url = f"http://{net.address}:{coordinator.port}"
    code = ask(f"{url}/api/nodes/join-codes")["code"]
    nodes = [FarNode(m, number, folders, url) for number, m in enumerate(net.machines, start=1)]
    for node in nodes:
        closing.enter_context(node.at_work(code))
    return nodes


def _reaches(node: FarNode, net: Network, database: Server, coordinator: Server) -> NodeResult:
    places = [f"{host}:{database.port}" for host in ("127.0.0.1", net.address)]
    *to_database, to_coordinator = node.reach(*places, f"{net.address}:{coordinator.port}")
    return NodeResult(node.name, node.machine.address, to_database, to_coordinator)


def _cut_off(
    nodes: Sequence[FarNode], database: Database, plan: Plan, say: Callable[[str], None]
) -> tuple[float, float, Mapping[ObjectId, ObjectId]]:
    """Cut the first node off; return when, for how long, and the claims by chunk that it held."""
    node, *others = nodes
    until(lambda: node.calls_that_hang >= CALLS_AT_ONCE, f"{node.name} to be at work")
    node.machine.pull_cable()
    cut_at = time.monotonic()
    for other in others:
        other.turn(mood="good")
    held = _held_by(database, node)
    say(f"{node.name} is cut off with {len(held)} chunks in its hands")
    until(
        lambda: (
            _are_taken_over(database, held)
            and time.monotonic() > cut_at + plan.cut_leases * plan.lease_seconds
        ),
        "others to take those over",
    )
    node.machine.plug_in()
    cut_seconds = time.monotonic() - cut_at
    node.turn(mood="good")
    say(f"{node.name} is back after {cut_seconds:.1f} s, and its server answers")
    return cut_at, cut_seconds, held


def _held_by(database: Database, node: FarNode) -> dict[ObjectId, ObjectId]:
    claimed = database.chunks.find({"processing_by": {"$ne": None}}, ["processing_by", "claim_id"])
    return {
        document["_id"]: document["claim_id"]
        for document in claimed
        if WorkerId(document["processing_by"]).owner == node.id
    }


def _are_taken_over(database: Database, held: Mapping[ObjectId, ObjectId]) -> bool:
    now = database.chunks.find({"_id": {"$in": list(held)}}, ["claim_id"])
    return all(document["claim_id"] != held[document["_id"]] for document in now)


def _is_done(database: Database, plan: Plan) -> bool:
    return database.chunks.count_documents({"transcribed_at": {"$ne": None}}) == plan.chunks


def _evidence(
    plan: Plan,
    folders: Folders,
    facts: Mapping[ObjectId, Fact],
    database: Database,
    ends: list[WorkerEnd],
) -> Run:
    documents: list[dict[str, Any]] = list(database.chunks.find())
    return Run(
        history=history.load(folders.history),
        documents=documents,
        calls=folders.read_calls(),
        chunks=facts,
        ends=ends,
        lease_seconds=plan.lease_seconds,
        max_attempts=_MAX_ATTEMPTS,
        max_expirations=_MAX_EXPIRATIONS,
        chunk_timeout_seconds=_CHUNK_TIMEOUT_SECONDS,
        nodes=http_history.load(folders.node_history),
        speakers=list(database.speakers.find()),
    )


def _count(run: Run, actor: str, result: NodeResult) -> None:
    own = [op for op in run.nodes.operations if op.actor == actor]
    taken = {op.claim for op in own if op.kind == "complete" and op.was_accepted}
    result.results = len(taken)
    # A renewal may cross the completion of its own claim, and find that ended.
    result.lost = len({op.claim for op in own if op.detail == http_history.LOST} - taken)


def _late(run: Run, held: Mapping[ObjectId, ObjectId], since: float) -> list[Operation]:
    claims = set(held.values())
    return [op for op in run.nodes.operations if op.claim in claims and op.asked > since]


def _open_chunks(database: Database) -> str:
    """Say of each chunk without a result who has it, and what became of it so far."""
    fields = ["processing_by", "claimed_at", "attempts", "expirations", "not_before", "failed_at",
              "errors"]  # fmt: skip
    return "; ".join(map(str, database.chunks.find({"transcribed_at": None}, fields)))
