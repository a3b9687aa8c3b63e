"""What a worker sees of the queue: claims, recordings and the rest of the fleet.

Behind it stands the database itself, or a coordinator that is reached over HTTP.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from stt.domain.chunk import Chunk, Recording
from stt.domain.claim import Claims


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a worker says of itself with every heartbeat; `slots` is its calls at once."""

    host: str
    pid: int
    version: str
    server: str
    state: str
    slots: int
    chunks: tuple[str, ...]
    counts: Mapping[str, int]


class Recordings(Protocol):
    """Recordings, and the audio of their chunks. Safe between threads."""

    def of(self, chunk: Chunk) -> Recording | None: ...
    def audio(self, chunk: Chunk) -> bytes: ...


class Roster(Protocol):
    """Who else is at work."""

    def report(self, worker: str, report: WorkerReport) -> None: ...
    def slots_alive(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Queue:
    """The three together, as one worker is given them; `place` is what log lines call it."""

    claims: Claims
    recordings: Recordings
    roster: Roster
    place: str = "database"
