"""The JSON messages between coordinator and nodes: claims, transcripts, reports, settings.

Times are aware UTC in ISO 8601, lengths float seconds, ids 24 hexadecimal digits. What a node may
send is bounded, so that one broken node cannot fill the database.
"""

from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from stt.domain.chunk import Chunk, Recording
from stt.domain.claim import Page, WorkerReport
from stt.domain.field_types import Count, HexId, Name, Seconds, Slug, Text
from stt.domain.transcript import Task, Transcript

WorkerId = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,99}_[0-9]{1,10}$")
]
"""`NODE_RUN`: the holder of a claim; each run of a node has another number."""


class _Message(BaseModel):
    """A message that can be validated from JSON, and from an object with the same attributes."""

    model_config = ConfigDict(frozen=True, from_attributes=True, populate_by_name=True)


@dataclass(frozen=True, slots=True)
class PageMessage(Page):
    """Pending chunks in claim order; `slots_alive` is how many calls the fleet has in flight."""

    slots_alive: int = 1


class OptionsMessage(_Message):
    """The options of a claimed chunk's recording; an older coordinator does not send all.

    `filename` is for people, and has the recording's path if it is known.
    """

    filename: str = ""
    language: str | None = None
    prompt: str | None = None
    model: str | None = None
    hotwords: str | None = None
    task: Task = "transcribe"
    speakers: int | None = None

    @classmethod
    def of(cls, recording: Recording | None) -> "OptionsMessage":
        if recording is None:
            return cls()
        return cls.model_validate(replace(recording, filename=recording.path or recording.filename))

    def to_recording(self, chunk: Chunk) -> Recording | None:
        return None if chunk.recording_id is None else Recording(chunk.recording_id, **dict(self))


class TaskMessage(_Message):
    """A claimed chunk; `audio` is the path of its bytes while the claim lasts.

    Nothing but a path: behind a coordinator's address, `@host/` would be another host.
    """

    chunk: Chunk
    audio: Annotated[str, StringConstraints(pattern="^/chunks/[0-9a-f]{24}[.][A-Za-z0-9]{1,20}$")]


class TasksMessage(_Message):
    """A claimed run: consecutive chunks of one recording under one `claim_id`."""

    worker_id: str
    claim_id: HexId
    lease_seconds: float
    options: OptionsMessage
    tasks: tuple[TaskMessage, ...]


class Held(_Message):
    """A worker's claim on a chunk: every transition names all three ids."""

    worker_id: WorkerId
    chunk_id: HexId
    claim_id: HexId


class HeldChunk(_Message):
    """Another claim of the same worker."""

    chunk_id: HexId
    claim_id: HexId


LeaseSeconds = Annotated[Seconds, Field(gt=0)]
"""The lease by which the worker renews its claims; an older node does not send it."""


class ClaimRequest(Held):
    """A claim that a worker requests, under an id that the worker has made.

    A request that got no answer can thus be repeated, and is answered with the same claim.
    """

    lease_seconds: LeaseSeconds | None = None


class Renewal(Held):
    """With `others`, claims that are lost are named in the answer, and are no error.

    An older coordinator reads the first claim only, and its answer names none.
    """

    lease_seconds: LeaseSeconds | None = None
    others: Annotated[tuple[HeldChunk, ...], Field(max_length=10_000)] | None = None


class Release(Held):
    """`solo`: from now on the chunk is transcribed alone, because a server died with it."""

    isolated: Annotated[bool, Field(alias="solo")] = False


class Failure(Held):
    """`attempts`: as in the claim's answer; `server`: the one that had a part in the failure."""

    kind: Slug
    message: Annotated[Text, StringConstraints(max_length=5_000)]
    server: Name | None = None
    attempts: Count = 0


class Completion(Held):
    """`duration`: the chunk's length in seconds, where its document does not have it.

    The times of the transcript are relative to the chunk's start.
    """

    transcript: Transcript
    duration: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportMessage(WorkerReport):
    """A worker's heartbeat: what it does at the moment."""

    worker_id: WorkerId


class Rules(_Message):
    """The numbers of the claim protocol that the whole fleet shares; lengths in seconds."""

    lease_seconds: float
    max_attempts: int
    max_expirations: int
    chunk_timeout_seconds: float
    heartbeat_seconds: float


class DesiredState(_Message):
    """The settings that change how a node works; `model` is None where it may choose."""

    is_enabled: bool = True
    model: str | None = None
    rules: Rules


class NodeSettings(DesiredState):
    """A node's settings at its coordinator; every heartbeat's answer holds them."""

    id: str
    name: str
    priority: int = 0

    @property
    def desired_state(self) -> DesiredState:
        return DesiredState(**dict(self))
