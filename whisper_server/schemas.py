"""The JSON that clients get: most of it is read off the server's own objects by attribute."""

from datetime import datetime
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from stt.transcripts.speakers import write_embedding
from whisper_server.engines.base import Segment, Task, Transcription, Word
from whisper_server.errors import ApiError

Rounded = Annotated[float, AfterValidator(lambda seconds: round(seconds, 3))]


class FromAttributes(BaseModel):
    """Reads fields off an object's attributes of the same name, or of the validation alias."""

    model_config = ConfigDict(from_attributes=True, populate_by_name=True)


class SegmentOut(FromAttributes):
    """A segment as OpenAI sends it; `id` counts from 0."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    language: str
    speaker: str | None = None


class TextOut(BaseModel):
    text: str


def _encoded(embedding: object) -> object:
    return write_embedding(embedding) if isinstance(embedding, np.ndarray) else embedding


class SpeakerOut(FromAttributes):
    """One who speaks, and for how many seconds.

    `embedding` is the direction of the voice, as base64 of 16-bit floats, the low byte first: the
    cosine of the angle between two of them tells how alike two voices are.
    """

    id: str
    seconds: Rounded
    embedding: Annotated[str, BeforeValidator(_encoded)]


class DiarizedSegmentOut(BaseModel):
    """A segment with its speaker, as OpenAI sends it; an empty `speaker` is not known."""

    type: Literal["transcript.text.segment"] = "transcript.text.segment"
    id: str
    start: float
    end: float
    text: str
    speaker: str


class DiarizedOut(BaseModel):
    """OpenAI's `diarized_json`; its speakers are A, B and so on."""

    task: Task
    duration: Rounded
    text: str
    segments: list[DiarizedSegmentOut]

    @classmethod
    def of(cls, task: Task, found: Transcription) -> "DiarizedOut":
        segments = [
            DiarizedSegmentOut(
                id=f"seg_{number}",
                start=segment.start,
                end=segment.end,
                text=segment.text,
                speaker=segment.speaker or "",
            )
            for number, segment in enumerate(found.segments)
        ]
        return cls(task=task, duration=found.duration_seconds, text=found.text, segments=segments)


class VerboseOut(BaseModel):
    """`language` is the code (`en`) of the language with the most speech; `duration` in seconds.

    `silent_speech_seconds`: speech that gave no text. `speakers`: None if they were
    not asked for, or could not be found.
    """

    task: Task
    language: str
    language_probability: float
    duration: Rounded
    text: str
    silent_speech_seconds: Rounded
    segments: list[SegmentOut] | None = None
    words: list[Word] | None = None
    speakers: list[SpeakerOut] | None = None

    @classmethod
    def of(
        cls, task: Task, found: Transcription, *, segments: bool = True, words: bool = False
    ) -> "VerboseOut":
        """Return a transcript with its segments and its words, or without them."""
        numbered = enumerate(found.segments) if segments else ()
        speakers = found.speakers
        return cls(
            task=task,
            language=found.language,
            language_probability=found.language_probability,
            duration=found.duration_seconds,
            text=found.text,
            silent_speech_seconds=found.silent_speech_seconds,
            segments=[SegmentOut(id=i, **vars(s)) for i, s in numbered] if segments else None,
            words=[word for s in found.segments for word in s.words] if words else None,
            speakers=None if speakers is None else list(map(SpeakerOut.model_validate, speakers)),
        )


class TextDelta(BaseModel):
    """A stream's next piece of the transcript."""

    type: Literal["transcript.text.delta"] = "transcript.text.delta"
    delta: str


class SegmentReady(BaseModel):
    """A segment of a stream in `verbose_json`; `speaker` is empty, but clients require it."""

    type: Literal["transcript.text.segment"] = "transcript.text.segment"
    id: str
    start: float
    end: float
    text: str
    speaker: str = ""
    words: list[Word] | None = None

    @classmethod
    def of(cls, number: int, segment: Segment, *, words: bool) -> "SegmentReady":
        """Return the segment with this number, counted from 0, with its words or without them."""
        fields = vars(segment) | {"words": segment.words if words else None, "speaker": ""}
        return cls(id=f"seg_{number}", **fields)


class LanguageOut(BaseModel):
    code: str


class TextDone(BaseModel):
    """The end of a stream; language and duration in `verbose_json` alone.

    `warnings`: which of several audio tracks was taken, and what is lost of the file, if anything.
    """

    type: Literal["transcript.text.done"] = "transcript.text.done"
    text: str
    languages: list[LanguageOut]
    warnings: list[str] | None = None
    language: str | None = None
    language_probability: float | None = None
    duration: float | None = None


class RecordingSegmentOut(FromAttributes):
    """A segment; its times are those of the joined recording."""

    start: float
    end: float
    text: Annotated[str, AfterValidator(str.strip)]
    avg_logprob: float
    no_speech_prob: float
    language: str
    speaker: str | None = None
    words: list[Word] | None = None


class RecordingOut(FromAttributes):
    """`top_language_probs`: up to five pairs of code and probability, the likeliest first.

    `speakers`: None if they were not asked for, or could not be found.
    """

    language: str
    top_language_probs: list[tuple[str, float]]
    duration: Rounded = Field(validation_alias="duration_seconds")
    silent_speech_seconds: Rounded
    segments: list[RecordingSegmentOut]
    speakers: list[SpeakerOut] | None = None

    @classmethod
    def of(cls, found: Transcription, *, words: bool) -> "RecordingOut":
        """Return a transcript with the words of its segments or without them."""
        out = cls.model_validate(found)
        if not words:
            for segment in out.segments:
                segment.words = None
        return out


class ModelOut(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    loaded: bool
    speakers: bool


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelOut]


class ErrorDetail(FromAttributes):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorOut(BaseModel):
    """Every error, in OpenAI's form."""

    error: ErrorDetail

    @classmethod
    def of(cls, error: ApiError) -> "ErrorOut":
        return cls(error=ErrorDetail.model_validate(error))


JobStatus = Literal["queued", "processing", "done", "failed"]


class JobSummary(FromAttributes):
    """A job without its result. `progress` goes from 0 to 1; times are UTC.

    `instances` are the copies of the model that have worked on it, as `/system` numbers them.
    """

    id: str
    object: Literal["transcription.job"] = "transcription.job"
    status: JobStatus
    task: Task
    response_format: str
    filename: str | None
    progress: Rounded
    seconds_done: Rounded
    seconds_total: Rounded | None
    instances: list[int]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: ErrorDetail | None


class JobOut(JobSummary):
    """`result` is the transcription endpoint's response; a string unless it is JSON."""

    result: dict[str, Any] | str | None


class JobList(BaseModel):
    object: Literal["list"] = "list"
    data: list[JobSummary]


class HealthOut(BaseModel):
    status: Literal["ok"] = "ok"
    version: str


class ReadyOut(BaseModel):
    """`capacity` calls at once keep it full; `in_flight` are transcribed, `waiting` ones wait.

    `instance` is this process's own: another one means that the server was restarted.
    """

    status: Literal["ready"] = "ready"
    instance: str
    model: str
    device: str
    compute_type: str
    capacity: int
    in_flight: int
    waiting: int
