"""What a chaos run is made of, and how far it has come."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tools.chaos_lab.stand_in import Pace

_PACE = Pace(0.2, 2.0, slow=5.0, slow_share=0.05)


@dataclass(frozen=True)
class Fleet:
    """What a run is made of. Times in seconds; `poisons` is how many chunks there are of each.

    `workers` reach the database, `nodes` the coordinators alone. The workers' leases differ: they
    are `lease_seconds` times one of `lease_factors` after the other.
    """

    workers: int = 8
    nodes: int = 0
    coordinators: int = 0
    chunks: int = 500
    real_servers: int = 1
    lease_seconds: float = 4.0
    lease_factors: tuple[float, ...] = (1.0, 0.75, 1.5)
    chunk_timeout: float = 12.0
    sequence_seconds: float = 6.0
    calls_at_once: int = 2
    max_attempts: int = 3
    pace: Pace = _PACE
    poisons: int | None = None
    mutation: str | None = None

    def over_http(self) -> "Fleet":
        """As large a fleet, of which one worker in four has the database, the others a
        coordinator."""
        at_database = max(1, self.workers // 4)
        nodes = self.workers - at_database
        return replace(self, workers=at_database, nodes=nodes, coordinators=2)

    def lease_of(self, number: int) -> float:
        """The lease of a worker, by its number from 1."""
        return self.lease_seconds * self.lease_factors[(number - 1) % len(self.lease_factors)]

    @property
    def poisons_of_each(self) -> int:
        return min(max(1, self.chunks // 100), 6) if self.poisons is None else self.poisons


@dataclass(frozen=True)
class Progress:
    """Chunks by where they are."""

    added: int
    transcribed: int
    failed: int
    in_work: int

    @property
    def open(self) -> int:
        return self.added - self.transcribed - self.failed


def progress_of(documents: Iterable[Mapping[str, Any]], added: int) -> Progress:
    """Where the chunks are, by their documents."""
    fields = ("transcribed_at", "failed_at", "processing_by")
    counts = Counter(f for d in documents for f in fields if d.get(f) is not None)
    return Progress(added, *(counts[field] for field in fields))
