"""A recording, a chunk of it, and the run of chunks that is transcribed as one piece of audio."""

import hashlib
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any

from bson import ObjectId

CHUNK_FIELDS = (
    "original_id", "index", "start", "offset", "duration", "format", "vad.has_speech",
    "attempts", "expirations", "not_before", "solo", "errors.server",
)  # fmt: skip
"""What `Chunk.from_document` reads: ask the database for these and nothing heavier."""

ASSUMED_SECONDS = 30.0
"""Length taken for a chunk whose document does not say; only planning uses it."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The queue's view of one chunk: what planning and transcribing need, without its audio.

    `offset` and `duration` are seconds (None where another program left them out), `start` and
    `not_before` are aware UTC times. `solo`: a server died with it in company, so it travels
    alone; `failed_on`: the servers that its last errors name.
    """

    id: ObjectId
    recording_id: ObjectId | None
    index: int
    start: datetime | None = None
    offset: float | None = None
    duration: float | None = None
    format: str | None = None
    has_speech: bool | None = None
    attempts: int = 0
    expirations: int = 0
    not_before: datetime | None = None
    isolated: bool = False
    failed_on: frozenset[str] = frozenset()

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Chunk":
        """Reads a document of `audio_chunks`; fields that another program left out become None."""
        vad = document.get("vad")
        return cls(
            id=document["_id"],
            recording_id=_hashable(document.get("original_id")),
            index=count_of(document.get("index")),
            start=_time(document.get("start")),
            offset=_number(document.get("offset")),
            duration=_positive(document.get("duration")),
            format=_text(document.get("format")),
            has_speech=vad.get("has_speech") if isinstance(vad, Mapping) else None,
            attempts=count_of(document.get("attempts")),
            expirations=count_of(document.get("expirations")),
            not_before=_time(document.get("not_before")),
            isolated=document.get("solo") is True,
            failed_on=_servers(document.get("errors")),
        )

    @property
    def has_failed_before(self) -> bool:
        """True if an earlier claim ended badly: such a chunk is tried alone."""
        return self.attempts > 0 or self.expirations > 0 or self.isolated

    @property
    def is_poison_candidate(self) -> bool:
        """True if it failed since a server died with it: it may be what kills them."""
        return self.isolated and self.attempts > 0

    @property
    def log_fields(self) -> dict[str, object]:
        """What log records about this chunk carry."""
        return {"chunk": self.id, "recording": self.recording_id, "attempt": self.attempts + 1}

    @property
    def planned_seconds(self) -> float:
        return ASSUMED_SECONDS if self.duration is None else self.duration


def chunk_id(recording_id: ObjectId, index: int) -> ObjectId:
    """The id that `stt` itself gives a chunk, so that a piece that is cut twice is one chunk."""
    return ObjectId(hashlib.sha256(f"{recording_id} {index}".encode()).digest()[:12])


ChunkRun = tuple[Chunk, ...]
"""Consecutive chunks of one source, never empty."""


def chunk_runs(chunks: Iterable[Chunk], max_seconds: float, max_chunks: int) -> list[ChunkRun]:
    """Groups a page of chunks into sequences, in the order of their first chunks.

    A sequence ends where the next index is missing, at `max_seconds` of audio, or at `max_chunks`;
    a chunk that failed before is always a sequence of its own.
    """
    runs: list[list[Chunk]] = []
    seconds = 0.0
    for chunk in chunks:
        last = runs[-1][-1] if runs else None
        joins = (
            last is not None
            and _follows(chunk, last)
            and len(runs[-1]) < max_chunks
            and seconds + chunk.planned_seconds <= max_seconds
        )
        if joins:
            runs[-1].append(chunk)
            seconds += chunk.planned_seconds
        else:
            runs.append([chunk])
            seconds = chunk.planned_seconds
    return [tuple(run) for run in runs]


def _follows(chunk: Chunk, last: Chunk) -> bool:
    return (
        chunk.recording_id is not None
        and chunk.recording_id == last.recording_id
        and chunk.index == last.index + 1
        and not chunk.has_failed_before
        and not last.has_failed_before
    )


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording as `source_files` knows it; `duration` in seconds.

    `ingested_at` is None while its chunks are still being cut. `model`: the one that a person
    wants it transcribed with, None for whatever each worker uses.
    """

    id: ObjectId
    filename: str
    duration: float | None = None
    chunk_count: int | None = None
    language: str | None = None
    prompt: str | None = None
    start: datetime | None = None
    ingested_at: datetime | None = None
    model: str | None = None

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Recording":
        return cls(
            id=document["_id"],
            filename=str(document.get("filename") or document["_id"]),
            duration=_positive(document.get("duration")),
            chunk_count=count_of(document.get("chunk_count")) or None,
            language=_text(document.get("language")),
            prompt=_text(document.get("prompt")),
            start=_time(document.get("start")),
            ingested_at=_time(document.get("ingested_at")),
            model=_text(document.get("model")),
        )


# One odd document must never stop the workers that page past it: what is not of the field's type
# counts as missing.


def _number(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and isfinite(value) else None


def _positive(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and number > 0 else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _servers(errors: Any) -> frozenset[str]:
    listed = errors if isinstance(errors, list) else []
    found = (error.get("server") for error in listed if isinstance(error, Mapping))
    return frozenset(server for server in found if isinstance(server, str))


def _hashable(value: Any) -> Any:
    return value if isinstance(value, Hashable) else None


def count_of(value: Any) -> int:
    """A count out of a document; what is none counts as 0."""
    return int(_number(value) or 0)


def _time(value: Any) -> datetime | None:
    return value if isinstance(value, datetime) else None
