"""Parts of a recording in its own time: chunks, and what has no transcript."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

from stt.domain.field_types import HexId

# The annotations of these classes are for their JSON.


@dataclass(frozen=True, slots=True)
class ChunkSpan:
    """A chunk's place in the recording, in seconds; its audio is at `/chunks/{id}.{format}`.

    `done_at`: when it was transcribed.
    """

    id: HexId
    index: int
    offset: float
    duration: float
    format: str
    state: str
    done_at: Annotated[datetime | None, Field(exclude=True)]

    @property
    def end(self) -> float:
        return self.offset + self.duration


@dataclass(frozen=True, slots=True)
class UntranscribedSpan:
    """A span without a transcript, in the recording's time.

    `state`: that of its chunks; missing if the queue has none, cutting if they are still to come,
    unreadable if another program wrote a transcript that cannot be read.
    """

    start: float
    end: float
    state: str


def merged(gaps: Iterable[UntranscribedSpan]) -> tuple[UntranscribedSpan, ...]:
    """Join neighbouring gaps of the same state."""
    joined: list[UntranscribedSpan] = []
    for gap in gaps:
        if joined and joined[-1].state == gap.state and gap.start <= joined[-1].end + 0.001:
            gap = UntranscribedSpan(joined.pop().start, gap.end, gap.state)
        joined.append(gap)
    return tuple(joined)
