"""What coordinator and nodes say to each other: JSON forms of chunks, claims and transcripts.

Times are aware UTC in ISO 8601, lengths float seconds, ids 24 hexadecimal digits. What a node may
say is bounded here, so that one broken node cannot fill the database.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from math import isfinite
from typing import Annotated, Any, TypeVar

from bson import ObjectId
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    StringConstraints,
)

from stt.domain.chunk import Chunk, Recording
from stt.domain.claim import Page, WorkerReport
from stt.domain.transcript import Segment, Transcript, Word

Id = Annotated[str, StringConstraints(pattern="^[0-9a-f]{24}$")]
WorkerId = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,99}_[0-9]{1,10}$")
]
"""`NODE_RUN`: whose claim it is; the number tells the runs of a node apart."""

_MAX_SEGMENTS = 100_000
_Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0, le=2**31)]
_Name = Annotated[str, StringConstraints(max_length=1_000)]


def _finite(number: object) -> object:
    """JSON knows no infinity: a probability that is none is as good as missing."""
    return None if isinstance(number, float) and not isfinite(number) else number


_Number = Annotated[float | None, BeforeValidator(_finite)]


def _without_surrogates(text: object) -> object:
    """Half a character, which JSON can write and the database cannot, becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8") if isinstance(text, str) else text


_Text = Annotated[str, StringConstraints(max_length=100_000), BeforeValidator(_without_surrogates)]


T = TypeVar("T")
# One fault is enough: to tell of each in a small body of 100,000 would take seconds.
_Many = Annotated[tuple[T, ...], Field(max_length=_MAX_SEGMENTS), FailFast()]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ChunkMessage(_Message):
    """A chunk as workers see it, without its audio."""

    id: Id
    source_id: str | None
    index: int
    start: datetime | None = None
    offset: float | None = None
    duration: float | None = None
    format: str | None = None
    has_speech: bool | None = None
    attempts: int = 0
    expirations: int = 0
    not_before: datetime | None = None
    solo: bool = False
    failed_on: tuple[str, ...] = ()

    @classmethod
    def of(cls, chunk: Chunk) -> "ChunkMessage":
        fields = {name: getattr(chunk, name) for name in _SAME_FIELDS}
        return cls(
            id=str(chunk.id),
            source_id=None if chunk.recording_id is None else str(chunk.recording_id),
            solo=chunk.isolated,
            failed_on=tuple(sorted(chunk.failed_on)),
            **fields,
        )

    def to_chunk(self) -> Chunk:
        name: Any = self.source_id
        return Chunk(
            id=ObjectId(self.id),
            # Another program may name its recordings by any text.
            recording_id=ObjectId(name) if name is not None and ObjectId.is_valid(name) else name,
            isolated=self.solo,
            failed_on=frozenset(self.failed_on),
            **{field: getattr(self, field) for field in _SAME_FIELDS},
        )


_SAME_FIELDS = ChunkMessage.model_fields.keys() - {"id", "source_id", "solo", "failed_on"}
"""Fields that a chunk and its message hold in the same form."""


class PageMessage(_Message):
    """Pending chunks in claim order; `slots_alive` is how many calls the fleet has in flight."""

    chunks: tuple[ChunkMessage, ...]
    is_last: bool
    next_due_seconds: float | None = None
    slots_alive: int = 1

    @classmethod
    def of(cls, page: Page, slots_alive: int) -> "PageMessage":
        chunks = tuple(map(ChunkMessage.of, page.chunks))
        return cls(
            chunks=chunks,
            is_last=page.is_last,
            next_due_seconds=page.next_due_seconds,
            slots_alive=slots_alive,
        )

    def to_page(self) -> Page:
        chunks = tuple(chunk.to_chunk() for chunk in self.chunks)
        return Page(chunks, self.is_last, self.next_due_seconds)


class OptionsMessage(_Message):
    """What a person said about the recording that a chunk is of."""

    filename: str = ""
    language: str | None = None
    prompt: str | None = None
    model: str | None = None

    @classmethod
    def of(cls, recording: Recording | None) -> "OptionsMessage":
        if recording is None:
            return cls()
        return cls(
            filename=recording.filename,
            language=recording.language,
            prompt=recording.prompt,
            model=recording.model,
        )

    def to_recording(self, chunk: Chunk) -> Recording | None:
        if chunk.recording_id is None:
            return None
        return Recording(
            id=chunk.recording_id,
            filename=self.filename,
            language=self.language,
            prompt=self.prompt,
            model=self.model,
        )


class TaskMessage(_Message):
    """A chunk that was claimed; `audio` is the path that its bytes are at while the claim lasts.

    A path and nothing else: behind a coordinator's address `@host/` would be another one.
    """

    chunk: ChunkMessage
    audio: Annotated[str, StringConstraints(pattern="^/chunks/[0-9a-f]{24}[.][A-Za-z0-9]{1,20}$")]


class TasksMessage(_Message):
    """A claimed sequence: consecutive chunks of one recording under one `claim_id`."""

    worker_id: str
    claim_id: Id
    lease_seconds: float
    options: OptionsMessage
    tasks: tuple[TaskMessage, ...]


class ClaimRequest(_Message):
    """Which chunk a worker wants, and the id that its claim is to have: made by whoever asks, so
    that one whose connection broke can ask again what became of it."""

    worker_id: WorkerId
    chunk_id: Id
    claim_id: Id


class Held(_Message):
    """Whose claim on what: every transition names all three."""

    worker_id: WorkerId
    chunk_id: Id
    claim_id: Id


class Release(Held):
    """`solo`: from now on the chunk travels alone, for a server died with it."""

    solo: bool = False


class Failure(Held):
    """`attempts`: as the claim's answer told; `server`: the one that had a part in it."""

    kind: Annotated[str, StringConstraints(pattern="^[a-z_]{1,40}$")]
    message: Annotated[
        str, AfterValidator(_without_surrogates), StringConstraints(max_length=5_000)
    ]
    server: _Name | None = None
    attempts: _Count = 0


class WordMessage(_Message):
    start: _Seconds
    end: _Seconds
    word: _Text
    probability: _Number = None


class SegmentMessage(_Message):
    start: _Seconds
    end: _Seconds
    text: _Text
    avg_logprob: _Number = None
    no_speech_prob: _Number = None
    words: _Many[WordMessage] = ()

    def to_segment(self) -> Segment:
        words = tuple(Word(w.start, w.end, w.word, w.probability) for w in self.words)
        return Segment(
            self.start, self.end, self.text.strip(), self.avg_logprob, self.no_speech_prob, words
        )


class TranscriptMessage(_Message):
    """What was heard in a chunk; no segments: nothing was said. Times relative to its start."""

    segments: _Many[SegmentMessage] = ()
    language: _Name | None = None
    language_probability: _Number = None
    model: _Name | None = None
    server: _Name | None = None
    seconds: _Seconds | None = None

    @classmethod
    def of(cls, transcript: Transcript) -> "TranscriptMessage":
        return cls.model_validate(asdict(transcript))

    def to_transcript(self, worker: str) -> Transcript:
        return Transcript(
            segments=tuple(segment.to_segment() for segment in self.segments),
            language=self.language,
            language_probability=self.language_probability,
            model=self.model,
            server=self.server,
            worker=worker,
            seconds=self.seconds,
        )


class Completion(Held):
    """`duration`: the chunk's length in seconds, where its document did not tell."""

    transcript: TranscriptMessage
    duration: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] | None = None


class ReportMessage(_Message):
    """What a worker says of itself with every heartbeat."""

    worker_id: WorkerId
    host: _Name = ""
    pid: _Count = 0
    version: _Name = ""
    server: _Name = ""
    state: Annotated[str, StringConstraints(pattern="^[a-z]{1,20}$")] = "working"
    slots: Annotated[int, Field(ge=0, le=10_000)] = 1
    chunks: Annotated[tuple[Id, ...], Field(max_length=10_000)] = ()
    counts: dict[Annotated[str, StringConstraints(pattern="^[a-z_]{1,40}$")], _Count] = Field(
        default={}, max_length=20
    )

    @classmethod
    def of(cls, worker_id: str, report: WorkerReport) -> "ReportMessage":
        return cls.model_validate(asdict(report) | {"worker_id": worker_id})

    def to_report(self) -> WorkerReport:
        fields: Mapping[str, Any] = {
            name: getattr(self, name) for name in type(self).model_fields if name != "worker_id"
        }
        return WorkerReport(**fields)


class Rules(_Message):
    """The numbers of the claim protocol, as the fleet that a node joins has them; seconds."""

    lease_seconds: float
    max_attempts: int
    max_expirations: int
    chunk_timeout_seconds: float
    heartbeat_seconds: float


class NodeSettings(_Message):
    """What the coordinator tells a node about itself, with every heartbeat's answer."""

    id: str
    name: str
    priority: int = 0
    model: str | None = None
    is_enabled: bool = True
    rules: Rules
