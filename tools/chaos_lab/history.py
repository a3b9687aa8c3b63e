"""What every process of a chaos run asked of the queue, and what it was told.

A log is one file a process, one JSON line an event. `load` pairs the events of a folder into
operations, each with the interval in which it took effect if it did: not before it was asked, and
not after it was told. Times are those of CLOCK_MONOTONIC, one clock for all processes of a
machine, which no program can set.
"""

import json
import math
import os
import re
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from bson import json_util
from bson.objectid import ObjectId

Event = dict[str, Any]

ACCEPTED = "accepted"
REFUSED = "refused"
UNCLEAR = "unclear"  # no answer came, or none that says whether it was done

_HAND_RESET_SECONDS = 5.0  # at most, where the log does not say when it was asked


class EventLog:
    """Appends events to one file. Safe between threads; SIGKILL tears the last line at most."""

    def __init__(self, path: Path, actor: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._actor = actor

    def write(self, **fields: Any) -> None:
        """One line: the time, the process and its role, and `fields`, which may hold BSON types.

        One system call and no buffer, so that what was written outlives the process.
        """
        event = {"t": time.monotonic(), "pid": os.getpid(), "actor": self._actor, **fields}
        os.write(self._file, (json_util.dumps(event) + "\n").encode())


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing asked of one chunk. If it took effect, then between `asked` and `told`.

    `kind` is read from the update: claim, renew, complete, fail, release, recover, retry, other;
    `hand_reset` is a person's in the shell, `lookup` asks what became of a claim, `give_back` is a
    claim of a node that was started again or removed. `told` is infinite if no answer came.
    `worker` is the one whose claim it is, as far as it says. `detail` is the kind of a failure,
    `server` the one it names, `lease_seconds` the lease that a claim or a renewal writes.
    """

    kind: str
    chunk: ObjectId
    actor: str
    asked: float
    told: float = math.inf
    outcome: str = UNCLEAR
    thread: int = 0
    claim: ObjectId | None = None
    worker: str | None = None
    detail: str | None = None
    server: str | None = None
    quarantines: bool = False
    threshold_seconds: float | None = None
    lease_seconds: float | None = None

    @property
    def was_accepted(self) -> bool:
        return self.outcome == ACCEPTED

    @property
    def may_have_happened(self) -> bool:
        return self.outcome != REFUSED


@dataclass(frozen=True)
class History:
    """All operations in the order in which they were asked.

    `reports` are the times at which each actor's reports on itself were answered: its heartbeat
    was alive, and the database too. `last_events` is when each wrote its last line.
    """

    operations: tuple[Operation, ...] = ()
    reports: Mapping[str, Sequence[float]] = field(default_factory=dict)
    last_events: Mapping[str, float] = field(default_factory=dict, compare=False)

    @cached_property
    def of_chunk(self) -> Mapping[ObjectId, tuple[Operation, ...]]:
        found: dict[ObjectId, list[Operation]] = defaultdict(list)
        for operation in self.operations:
            found[operation.chunk].append(operation)
        return {chunk: tuple(operations) for chunk, operations in found.items()}

    @cached_property
    def silences(self) -> Mapping[str | None, Sequence[float]]:
        """By worker: when it asked what it got no plain answer to."""
        found: dict[str | None, list[float]] = defaultdict(list)
        for operation in self.operations:
            if operation.outcome == UNCLEAR:
                found[operation.worker].append(operation.asked)
        return found

    @cached_property
    def begin(self) -> float:
        return min((operation.asked for operation in self.operations), default=0.0)


@dataclass(slots=True)
class _Request:
    """A command as it was sent, again and again under one number if the driver repeated it."""

    asked: Event
    answer: Event | None = None
    tries: int = 1
    held: frozenset[ObjectId] | None = None
    """After renewals of which some found nothing: the claims that were still held."""


def load(folder: Path) -> History:
    """Reads every `*.jsonl` of `folder`; events that are not about the queue are passed over.

    Raises ValueError, naming file and line, for a line that is no event, unless it is the torn
    last line of a process that was killed.
    """
    operations: list[Operation] = []
    given_back: list[_Request] = []
    reports: dict[str, list[float]] = defaultdict(list)
    last_events: dict[str, float] = {}
    for path in sorted(folder.glob("*.jsonl")):
        events = list(read_events(path))
        last_events |= {event["actor"]: event["t"] for event in events}
        operations += _hand_resets(events)
        threshold = next((e["threshold_seconds"] for e in events if "threshold_seconds" in e), None)
        for request in _requests(events):
            if request.asked.get("collection") == "workers":
                if request.answer is not None and request.answer["phase"] == "told":
                    reports[request.asked["actor"]].append(request.answer["t"])
                continue
            if _names_a_node(request.asked):
                given_back.append(request)
                continue
            if _is_about_renewals(request.asked):
                continue
            for operation in _operations(request):
                operations.append(replace(operation, threshold_seconds=threshold))
    operations += [back for request in given_back for back in _give_backs(request, operations)]
    operations.sort(key=lambda operation: operation.asked)
    return History(tuple(_with_claims(operations)), reports, last_events)


def read_events(path: Path) -> Iterator[Event]:
    """The events of one log. Raises ValueError as `load` does."""
    *lines, _torn = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            event = json_util.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path.name}, line {number} is no event: {error}") from error
        yield event


def _requests(events: Sequence[Event]) -> list[_Request]:
    """Commands with their answers; a repetition by the driver joins what it repeats."""
    requests: list[_Request] = []
    open_: dict[tuple[int, Any], _Request] = {}
    repeatable: dict[tuple[int, str], _Request] = {}
    last: dict[tuple[int, Any], _Request] = {}  # of each thread
    for event in events:
        at = event["pid"], event.get("seq")
        if event.get("phase") == "asked":
            number = event["pid"], event.get("retry") or f"seq {event['seq']}"
            known = repeatable.get(number)
            if known is None:
                known = repeatable[number] = _Request(event)
                requests.append(known)
            else:
                known.answer, known.tries = None, known.tries + 1
            open_[at] = known
            if not _is_about_renewals(event):
                last[event["pid"], event.get("thread")] = known
        elif event.get("phase") in ("told", "failed") and at in open_:
            request = open_.pop(at)
            request.answer = event
            if _is_about_renewals(request.asked) and "found" in event:
                renewals = last.get((event["pid"], request.asked.get("thread")))
                if renewals is not None and "others" in renewals.asked:
                    renewals.held = frozenset(event["found"])
    return requests


def _is_about_renewals(asked: Event) -> bool:
    """True for the look-up of many claims, some of which were not there to renew."""
    return asked.get("op") == "find" and isinstance(asked["filter"].get("_id"), dict)


def _operations(request: _Request) -> Iterator[Operation]:
    asked = request.asked
    query, update = asked["filter"], asked.get("update", {})
    wanted = query.get("_id")
    chunks = wanted.get("$in", []) if isinstance(wanted, dict) else [wanted]
    claims = {q["_id"]: q.get("claim_id") for q in asked.get("others", ())}
    chunks = [*chunks, *claims]
    told, outcome = _outcome(request, len(chunks))
    set_, dates = update.get("$set", {}), update.get("$currentDate", {})
    kind = _kind(asked["op"], set_, dates)
    if asked.get("multi"):
        kind = "retry" if kind == "retry" else "hand_reset"
    error = (set_.get("errors") or [{}])[-1]
    worker = set_.get("processing_by") or (set_.get("transcript") or {}).get("worker")
    for chunk in chunks:
        if isinstance(chunk, ObjectId):
            claim = claims.get(chunk) or set_.get("claim_id") or query.get("claim_id")
            if request.held is not None:
                outcome = ACCEPTED if claim in request.held else REFUSED
            yield Operation(
                kind=kind,
                chunk=chunk,
                actor=asked["actor"],
                asked=asked["t"],
                told=told,
                outcome=outcome,
                thread=asked.get("thread", 0),
                claim=claim,
                worker=worker,
                detail=error.get("kind"),
                server=error.get("server"),
                quarantines="failed_at" in dates,
                lease_seconds=set_.get("lease_seconds"),
            )


def _kind(op: str, set_: Mapping[str, Any], dates: Mapping[str, Any]) -> str:
    if op == "find":
        return "lookup"
    if set_.get("processing_by") is not None:
        return "claim"
    for field_, kind in (
        ("transcript", "complete"),
        ("failed_at", "retry"),
        ("expirations", "recover"),
        ("attempts", "fail"),
        ("processing_by", "release"),
    ):
        if field_ in set_:
            return kind
    return "renew" if "claimed_at" in dates else "other"


def _outcome(request: _Request, wanted: int) -> tuple[float, str]:
    """When the asker knew, and what."""
    answer = request.answer
    if answer is None or answer["phase"] == "failed":
        return math.inf, UNCLEAR
    n = answer["n"]
    if n == 0:
        # A server that forgot an earlier try may have done it then, and finds nothing to do now.
        return answer["t"], REFUSED if request.tries == 1 else UNCLEAR
    is_sure = n >= wanted and "writeConcernError" not in answer
    return answer["t"], ACCEPTED if is_sure else UNCLEAR


def _hand_resets(events: Sequence[Event]) -> Iterator[Operation]:
    """A reset in the shell frees some of the chunks that were claimed: which, it does not say."""
    for event in events:
        if event.get("op") == "hand_reset" and event.get("phase") == "told":
            for chunk in event["chunks"]:
                yield Operation(
                    kind="hand_reset",
                    chunk=chunk,
                    actor=event["actor"],
                    asked=event.get("asked", event["t"] - _HAND_RESET_SECONDS),
                    told=event["t"],
                    threshold_seconds=event.get("threshold_seconds"),
                )


def _names_a_node(asked: Event) -> bool:
    """True for the one write that is about all claims of a node, whichever chunks they are on."""
    whose = asked["filter"].get("processing_by")
    return asked.get("multi", False) and isinstance(whose, dict) and "pattern" in whose


def _give_backs(request: _Request, operations: Sequence[Operation]) -> Iterator[Operation]:
    """Each claim that it may have ended, since it does not say which it has."""
    asked = request.asked
    whose = asked["filter"]["processing_by"]
    told, outcome = _outcome(request, 1)
    claims = {(op.chunk, op.claim): op for op in operations if op.kind == "claim"}
    for operation in claims.values():
        worker = operation.worker or ""
        is_meant = re.search(whose["pattern"], worker) and worker != whose["but"]
        if is_meant and operation.asked < told:
            yield replace(
                operation,
                kind="give_back",
                actor=asked["actor"],
                asked=asked["t"],
                told=told,
                outcome=REFUSED if outcome == REFUSED else UNCLEAR,
            )


def _with_claims(operations: Sequence[Operation]) -> Iterator[Operation]:
    """Names the claim of writes that do not (which is a breach of its own): the writer's last.

    The writer is the worker that the write names, for a coordinator writes for many.
    """
    last: dict[tuple[str, ObjectId, int | None], ObjectId | None] = {}
    for operation in operations:
        actor, chunk, worker = operation.actor, operation.chunk, operation.worker
        if operation.kind == "claim" and operation.was_accepted:
            last[actor, chunk, operation.thread] = last[actor, chunk, None] = operation.claim
            last[worker or "", chunk, None] = operation.claim
        elif operation.claim is None and operation.kind not in ("hand_reset", "recover"):
            by_worker = last.get((worker, chunk, None)) if worker else None
            by_thread = last.get((actor, chunk, operation.thread))
            claim = by_worker or by_thread or last.get((actor, chunk, None))
            yield replace(operation, claim=claim)
            continue
        yield operation
