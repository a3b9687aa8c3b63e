"""A claim, its rules, and the protocols behind which a worker uses the queue.

Behind `Claims`, `Recordings` and `Roster` stands the database itself (`stt.store`), or a
coordinator that is reached over HTTP (`stt.remote`).
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bson import ObjectId

from stt.domain.chunk import Chunk, Recording
from stt.domain.transcript import Transcript


class HasClaimRules(Protocol):
    """Settings, or a message, with the fields of ClaimRules."""

    @property
    def lease_seconds(self) -> float: ...
    @property
    def max_attempts(self) -> int: ...
    @property
    def max_expirations(self) -> int: ...


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """The numbers of the protocol; all workers of a fleet should agree on them."""

    lease_seconds: float = 300
    max_attempts: int = 3
    max_expirations: int = 5

    @classmethod
    def of(cls, source: HasClaimRules) -> "ClaimRules":
        """Take the rules out of settings, or out of a coordinator's message."""
        return cls(source.lease_seconds, source.max_attempts, source.max_expirations)

    @property
    def trusted_seconds(self) -> float:
        """The part of a lease that its holder relies on; the rest is margin."""
        return self.lease_seconds * 0.9


@dataclass(slots=True)
class Claim:
    """A worker's exclusive hold on a chunk; `trusted_until` is on `time.monotonic()`'s clock."""

    id: ObjectId
    chunk: Chunk
    worker: str
    trusted_until: float

    @property
    def is_trusted(self) -> bool:
        return time.monotonic() < self.trusted_until


@dataclass(frozen=True, slots=True)
class Order:
    """Which pending chunks to list, and which first; no `recordings` means those of all."""

    newest_first: bool = False
    recordings: tuple[ObjectId, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """Pending chunks in claim order; `is_last` if there are no others.

    `next_due_seconds` is set if chunks were left out because they rest after a failure.
    """

    chunks: tuple[Chunk, ...]
    is_last: bool
    next_due_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class StaleClaim:
    """A claim that outlived its lease; `quarantined` if it was the chunk's last one."""

    chunk_id: ObjectId
    worker: str
    claimed_at: datetime | None
    quarantined: bool

    @property
    def log_fields(self) -> dict[str, object]:
        """What log records about this claim carry."""
        return {"chunk": self.chunk_id, "holder": self.worker}

    def __str__(self) -> str:
        fate = "quarantined" if self.quarantined else "pending again"
        return f"claim of {self.worker} on chunk {self.chunk_id} ran out: {fate}"


class Claims(Protocol):
    """The transitions of chunks; `stt/store/claims.py` describes them."""

    def count_pending(self, order: Order) -> int: ...
    def page(self, limit: int, order: Order) -> Page: ...
    def claim(self, chunk: Chunk) -> Claim | None: ...
    def stop_retrying(self) -> None: ...
    def renew(self, claim: Claim) -> None: ...
    def complete(self, claim: Claim, transcript: Transcript) -> None: ...
    def release(self, claim: Claim, *, isolated: bool = False) -> None: ...
    def fail(self, claim: Claim, kind: str, message: str, *, server: str | None = None) -> None: ...
    def recover(self) -> list[StaleClaim]: ...


class Recordings(Protocol):
    """Recordings, and the audio of their chunks. Safe between threads."""

    def of(self, chunk: Chunk) -> Recording | None: ...
    def audio(self, chunk: Chunk) -> bytes: ...


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a worker reports of itself with every heartbeat; `slots` is its calls at once."""

    host: str
    pid: int
    version: str
    server: str
    state: str
    slots: int
    chunks: tuple[str, ...]
    counts: Mapping[str, int]


class Roster(Protocol):
    """The workers of the fleet."""

    def report(self, worker: str, report: WorkerReport) -> None: ...
    def slots_alive(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Queue:
    """The three together, as one worker is given them; `place` is what log lines call it."""

    claims: Claims
    recordings: Recordings
    roster: Roster
    place: str = "database"
