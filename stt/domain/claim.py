"""Claims, their rules, and the protocols by which a worker uses the queue.

`stt.store` implements `Claims`, `Recordings` and `Roster` with the database, `stt.remote` with a
coordinator over HTTP.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal, Protocol

from bson import ObjectId
from pydantic import Field, StringConstraints

from stt.domain.chunk import Chunk, ChunkRun, Recording, chunk_runs
from stt.domain.field_types import Count, HexId, IdText, Name, Slug
from stt.domain.transcript import Transcript
from stt.settings import Settings

Step = Literal[-1, 1]
"""From a chunk to the one before or after it in the recording."""


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """The settings of the claim protocol, which should be the same for all workers of a fleet."""

    lease_seconds: float = 300
    max_attempts: int = 3
    max_expirations: int = 5

    @classmethod
    def of(cls, settings: Settings) -> "ClaimRules":
        return cls(settings.lease_seconds, settings.max_attempts, settings.max_expirations)

    @property
    def trusted_seconds(self) -> float:
        """How long after a renewal a worker trusts its claim: nine tenths of the lease."""
        return self.lease_seconds * 0.9


@dataclass(slots=True)
class Claim:
    """A worker's claim on a chunk; `trusted_until` is a time of `time.monotonic()`."""

    id: ObjectId
    chunk: Chunk
    worker: str
    trusted_until: float

    @property
    def is_trusted(self) -> bool:
        return time.monotonic() < self.trusted_until


@dataclass(frozen=True, slots=True)
class Order:
    """Which pending chunks to list, and which first; empty `recordings` means all.

    `readers`: how many workers read pages of this order. With many of them, pages of a long queue
    begin at random places, so that workers do not all claim the same chunks.
    `models`: of recordings that want one of these alone; empty means all. `without_models`: none of
    recordings that want one of these. `without_recordings`: none of these recordings.
    """

    newest_first: bool = False
    recordings: tuple[ObjectId, ...] = ()
    readers: int = 1
    models: tuple[str, ...] = ()
    without_models: tuple[str, ...] = ()
    without_recordings: tuple[ObjectId, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """Pending chunks in claim order; `is_last` if there are no others.

    `next_due_seconds`: when the next chunk may be claimed of those that wait after a failure and
    were left out; None without any. `models`: those that recordings of the queue want. `growing`:
    recordings that are still being cut, with the chunks that there will be of each.
    """

    chunks: tuple[Chunk, ...]
    is_last: bool
    next_due_seconds: float | None = None
    models: tuple[str, ...] = ()
    growing: Mapping[HexId, int] = field(default_factory=dict)

    def share(self, roster: "Roster", expected_chunks: int = 0) -> int:
        """Return the longest run that leaves the other workers their part of what is pending.

        What is still being cut counts as pending, as do `expected_chunks`, if they are more.
        """
        if not self.is_last:
            return len(self.chunks)
        return max(1, max(self.count(self.chunks), expected_chunks) // roster.slots_alive())

    def count(self, chunks: Iterable[Chunk]) -> int:
        """Count chunks of the page, and all of the recordings among theirs that are being cut."""
        ids = [chunk.recording_id for chunk in chunks]
        growing = {id_: count for id_, count in self.growing.items() if id_ in ids}
        return sum(id_ not in growing for id_ in ids) + sum(growing.values())

    def runs(self, chunks: Iterable[Chunk], max_seconds: float, max_chunks: int) -> list[ChunkRun]:
        """Group chunks of the page into runs, without those that more chunks are about to join."""
        runs = chunk_runs(chunks, max_seconds, max_chunks)
        ends = {run[0].recording_id: run for run in sorted(runs, key=lambda run: run[-1].index)}
        return [
            run
            for run in runs
            if run[0].recording_id not in self.growing
            or run is not ends[run[0].recording_id]
            or run[0].has_failed_before
            or len(run) >= max_chunks
            or sum(chunk.planned_seconds for chunk in run) >= max_seconds
        ]


@dataclass(frozen=True, slots=True)
class StaleClaim:
    """A claim whose lease has run out, or whose worker has ended.

    `expirations`: those of the chunk, with this one; `quarantined` if it gets no more tries.
    """

    chunk_id: ObjectId
    worker: str
    claimed_at: datetime | None
    quarantined: bool
    expirations: int = 1

    @property
    def log_fields(self) -> dict[str, object]:
        """The fields of log records about this claim."""
        return {"chunk": self.chunk_id, "holder": self.worker}

    def error(self, at: datetime) -> dict[str, object]:
        """Return what is recorded of it with the chunk's errors."""
        message = f"claim {self.expirations} ran out without a result"
        return {"at": at, "worker": self.worker, "kind": "expired", "message": message}

    def __str__(self) -> str:
        result = "quarantined" if self.quarantined else "pending again"
        return f"claim of {self.worker} on chunk {self.chunk_id} ran out: {result}"


@dataclass(frozen=True, slots=True)
class Pending:
    """How many chunks are pending, and the seconds of their recordings in them.

    `seconds` are estimated for many chunks; None where an older coordinator does not say.
    """

    chunks: int
    seconds: float | None


class Claims(Protocol):
    """The claims of one worker; `stt/store/claims.py` describes the methods."""

    def count_pending(self, order: Order) -> int: ...
    def pending(self, order: Order) -> Pending: ...
    def page(self, limit: int, order: Order) -> Page: ...
    def claim(self, chunk: Chunk) -> Claim | None: ...
    def stop_retrying(self) -> None: ...
    def renew(self, claim: Claim) -> None: ...
    def renew_all(self, claims: Sequence[Claim]) -> list[Claim]: ...
    def complete(self, claim: Claim, transcript: Transcript) -> None: ...
    def release(self, claim: Claim, *, isolated: bool = False) -> None: ...
    def fail(self, claim: Claim, kind: str, message: str, *, server: str | None = None) -> None: ...
    def recover(self) -> list[StaleClaim]: ...
    def recover_orphaned(self) -> list[StaleClaim]: ...


class Recordings(Protocol):
    """The recordings of claimed chunks, and their audio. Safe between threads."""

    def of(self, claim: Claim) -> Recording | None: ...
    def audio(self, claim: Claim) -> bytes: ...
    def neighbour_audio(self, claim: Claim, step: Step) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """A worker's report with each heartbeat; `slots`: how many calls it makes at once.

    `missing_models`: those that recordings want and none of its servers has. `models`: those that
    its servers list as loaded; empty if that is unknown. `finds_speakers`: whether any of them
    does; None if that is unknown. The annotations are for its JSON.
    """

    host: Name = ""
    pid: Count = 0
    version: Name = ""
    server: Name = ""
    state: Annotated[str, StringConstraints(pattern="^[a-z]{1,20}$")] = "working"
    slots: Annotated[int, Field(ge=0, le=10_000)] = 1
    chunks: Annotated[tuple[IdText, ...], Field(max_length=10_000)] = ()
    counts: Annotated[Mapping[Slug, Count], Field(max_length=20)] = field(default_factory=dict)
    missing_models: Annotated[tuple[Name, ...], Field(max_length=1_000)] = ()
    models: Annotated[tuple[Name, ...], Field(max_length=1_000)] = ()
    finds_speakers: bool | None = None


class Roster(Protocol):
    """The list of the fleet's workers."""

    def report(self, worker: str, report: WorkerReport) -> None: ...
    def slots_alive(self) -> int: ...
    def workers_alive(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Queue:
    """All that a worker needs of the queue; `place` is its name in log lines."""

    claims: Claims
    recordings: Recordings
    roster: Roster
    place: str = "database"
