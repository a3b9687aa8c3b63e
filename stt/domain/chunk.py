"""Recordings, their chunks, and runs of chunks that are transcribed as one piece of audio."""

import hashlib
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Annotated, Literal

from bson import ObjectId
from pydantic import Field, PlainSerializer

from stt.domain.field_types import ALWAYS_WRITTEN, ForeignId, HexId
from stt.domain.transcript import Task

ASSUMED_SECONDS = 30.0
"""Seconds assumed for a chunk whose document has no duration; for planning only."""

Channels = Literal["mix", "split"]
"""Of a recording: one transcript of all channels mixed, or each channel transcribed by itself."""

SPEAKERS = "speakers"
"""What a whisper server must be able to find for some recordings; treated like a model's name."""

_EXTENSION = re.compile("[A-Za-z0-9]{1,20}")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk without its audio.

    `offset` and `duration` are seconds (None where another program left them out), `start` and
    `not_before` are aware UTC times. `isolated`: it must not share a server with other chunks,
    because a server died while it transcribed this one and others (`solo` in the document).
    `failed_on`: the servers that its errors name. `priority`: higher ones are listed first; None
    where another program left it out, which is listed last. `channel`: the one that it is cut from,
    counted from 1, of so many `channels`; None for all of them mixed. The annotations are for its
    JSON.
    """

    id: HexId
    recording_id: Annotated[ForeignId, Field(alias="source_id")]
    index: int
    start: datetime | None = None
    offset: float | None = None
    duration: float | None = None
    format: str | None = None
    has_speech: bool | None = None
    attempts: int = 0
    expirations: int = 0
    not_before: datetime | None = None
    isolated: Annotated[bool, Field(alias="solo")] = False
    failed_on: Annotated[frozenset[str], PlainSerializer(sorted, list[str])] = frozenset()
    channel: int | None = None
    priority: int | None = None
    channels: int | None = None

    @property
    def has_failed_before(self) -> bool:
        """Whether an earlier claim failed or expired; such a chunk is sent in a call of its own."""
        return self.attempts > 0 or self.expirations > 0 or self.isolated

    @property
    def is_poison_candidate(self) -> bool:
        """Whether it failed after it was isolated: it may be what makes servers crash."""
        return self.isolated and self.attempts > 0

    @property
    def log_fields(self) -> dict[str, object]:
        """The fields of log records about this chunk."""
        return {"chunk": self.id, "recording": self.recording_id, "attempt": self.attempts + 1}

    @property
    def extension(self) -> str:
        """The file extension of its audio; "bin" for an unknown format."""
        return self.format if self.format and _EXTENSION.fullmatch(self.format) else "bin"

    @property
    def planned_seconds(self) -> float:
        return ASSUMED_SECONDS if self.duration is None else self.duration

    @property
    def recording_seconds(self) -> float:
        """Its part of its recording: the channels together are as long as each of them."""
        return self.planned_seconds / max(1, self.channels or 1)


def chunk_id(recording_id: ObjectId, index: int) -> ObjectId:
    """Return the id that `stt ingest` gives a chunk: cutting it twice gives the same chunk."""
    return ObjectId(hashlib.sha256(f"{recording_id} {index}".encode()).digest()[:12])


ChunkRun = tuple[Chunk, ...]
"""Consecutive chunks of one recording, and of one channel of it; at least one."""


def chunk_runs(chunks: Iterable[Chunk], max_seconds: float, max_chunks: int) -> list[ChunkRun]:
    """Group chunks into runs, in the order of their first chunks.

    End a run where the next index is missing, at `max_seconds` of audio or at `max_chunks`. Make
    a run of its own of each chunk that failed before.
    """
    runs: list[list[Chunk]] = []
    latest: dict[tuple[object, int | None], list[Chunk]] = {}
    for chunk in chunks:
        key = chunk.recording_id, chunk.channel  # the channels of a recording take turns in a page
        run = latest.get(key)
        joins = (
            run is not None
            and _follows(chunk, run[-1])
            and len(run) < max_chunks
            and sum(each.planned_seconds for each in run) + chunk.planned_seconds <= max_seconds
        )
        if run is not None and joins:
            run.append(chunk)
        else:
            latest[key] = [chunk]
            runs.append(latest[key])
    return [tuple(run) for run in runs]


RUNS_PER_SLOT = 2
"""Runs at the front of a page, for each call of the fleet, that one is drawn from to begin with."""


def rotated(runs: Sequence[ChunkRun], window: int) -> list[ChunkRun]:
    """Return the runs of the first priority, from a random one of the first `window`; then others.

    So workers that read the same page at once begin at different runs.
    """
    if not runs:
        return []
    priority = runs[0][0].priority
    same = sum(1 for _ in takewhile(lambda run: run[0].priority == priority, runs))
    at = random.randrange(max(1, min(same, window)))
    return [*runs[at:same], *runs[:at], *runs[same:]]


def _follows(chunk: Chunk, last: Chunk) -> bool:
    return (
        chunk.recording_id is not None
        and chunk.index == last.index + 1
        and not chunk.has_failed_before
        and not last.has_failed_before
    )


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording; `duration` in seconds.

    `path`: its path below the folder that was given, with `/`; `folder`: that folder's own name;
    None where they are unknown. `is_ingesting`: more of its chunks are to be cut; `ingested_at` is
    None until then, and for recordings of other programs. `language`: the spoken one, None to
    detect it. `model`, `prompt` and `hotwords`: None for those that each worker uses. `channels`:
    whether a chunk is of all channels mixed, or of one. `speakers`: how many are to be told apart,
    0 if the number is not known, None for not at all; `max_speakers`: how many there can be, None
    if that is not known either. The annotations are for its JSON.
    """

    id: HexId
    filename: str
    duration: float | None = None
    chunk_count: int | None = None
    language: str | None = None
    prompt: str | None = None
    start: datetime | None = None
    ingested_at: Annotated[datetime | None, Field(exclude=True)] = None
    model: str | None = None
    is_ingesting: bool = False
    path: str | None = None
    folder: Annotated[str | None, Field(exclude=True)] = None
    hotwords: str | None = None
    task: Task = "transcribe"
    channels: Channels = "mix"
    speakers: int | None = None
    max_speakers: int | None = None
    __pydantic_config__ = ALWAYS_WRITTEN


@dataclass(frozen=True, slots=True)
class RecordedError:
    """An entry of a chunk's `errors`; `server`: the one that was called, if any."""

    at: datetime | None
    kind: str
    message: str
    worker: str
    server: str | None
