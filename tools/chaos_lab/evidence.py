"""What a verdict on a chaos run is given, and what it consists of."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bson.objectid import ObjectId

from tools.chaos_lab.history import History


@dataclass(frozen=True, slots=True)
class Fact:
    """What is true of a chunk, whatever the fleet believes.

    `poison`: "audio" cannot be decoded, "refused" is refused by every server, "fault" breaks every
    one (500), "killer" ends its process. None: innocent.
    """

    number: int
    poison: str | None = None


@dataclass(frozen=True, slots=True)
class WorkerEnd:
    """How a worker process ended: `exit_code` is None if it was killed, `stats` if none printed."""

    actor: str
    exit_code: int | None
    stats: Mapping[str, int] | None


@dataclass(frozen=True)
class Run:
    """A finished chaos run.

    `calls` are the stand-in servers' events, one for each chunk in each call:
    {"t", "server", "call", "chunk" (its number), "outcome"}, `t` when the upload had come in whole.
    `history` is what was asked of the database, and `nodes` what nodes asked of coordinators.
    `real_servers` are the URLs under which workers see servers that are no stand-ins: what those
    hear in a chunk is not judged. `speakers` are the documents that recordings have of them, and
    `names` what the one who names them saw and asked for, in order.
    """

    history: History
    documents: Sequence[Mapping[str, Any]]
    calls: Sequence[Mapping[str, Any]]
    chunks: Mapping[ObjectId, Fact]
    ends: Sequence[WorkerEnd]
    lease_seconds: float
    max_attempts: int
    max_expirations: int
    chunk_timeout_seconds: float | None = None
    real_servers: frozenset[str] = frozenset()
    nodes: History = field(default_factory=History)
    speakers: Sequence[Mapping[str, Any]] = ()
    names: Sequence[Mapping[str, Any]] = ()

    @cached_property
    def calls_of(self) -> Mapping[int, Sequence[Mapping[str, Any]]]:
        """The calls by the number of the chunk that they were for."""
        found: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
        for call in self.calls:
            if isinstance(call.get("chunk"), int):
                found[call["chunk"]].append(call)
        return found

    @cached_property
    def chunks_in_call(self) -> Mapping[Any, int]:
        """How many chunks each call was for."""
        return Counter(call["call"] for call in self.calls if "call" in call)


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that was broken, on which chunk, and how that is known."""

    rule: str
    chunk: ObjectId | None
    evidence: str


@dataclass(frozen=True, slots=True)
class Report:
    """All breaches, and how much happened at all."""

    breaches: tuple[Breach, ...]
    summary: Mapping[str, int] = field(default_factory=dict)
