"""The JSON that clients get."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from whisper_server.engines.base import Segment, Task, Transcription, Word
from whisper_server.errors import ApiError


class WordOut(BaseModel):
    word: str
    start: float
    end: float
    probability: float

    @classmethod
    def of(cls, word: Word) -> "WordOut":
        return cls(word=word.text, start=word.start, end=word.end, probability=word.probability)


class SegmentOut(BaseModel):
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

    @classmethod
    def of(cls, number: int, segment: Segment) -> "SegmentOut":
        names = [name for name in cls.model_fields if name not in {"id", "tokens"}]
        same: dict[str, Any] = {name: getattr(segment, name) for name in names}
        return cls(id=number, tokens=list(segment.tokens), **same)


class TextOut(BaseModel):
    text: str


class VerboseOut(BaseModel):
    """`language` is the code (`en`); `duration` the recording's seconds."""

    task: Task
    language: str
    language_probability: float
    duration: float
    text: str
    segments: list[SegmentOut] | None = None
    words: list[WordOut] | None = None

    @classmethod
    def of(
        cls, task: Task, found: Transcription, *, segments: bool = True, words: bool = False
    ) -> "VerboseOut":
        out = cls(
            task=task,
            language=found.language,
            language_probability=found.language_probability,
            duration=round(found.duration_seconds, 3),
            text=found.text,
        )
        if segments:
            out.segments = [SegmentOut.of(i, segment) for i, segment in enumerate(found.segments)]
        if words:
            out.words = [WordOut.of(word) for segment in found.segments for word in segment.words]
        return out


class TextDelta(BaseModel):
    """A stream's next piece of the transcript."""

    type: Literal["transcript.text.delta"] = "transcript.text.delta"
    delta: str


class SegmentReady(BaseModel):
    """A segment of a stream in `verbose_json`; no speaker is known, but clients want the field."""

    type: Literal["transcript.text.segment"] = "transcript.text.segment"
    id: str
    start: float
    end: float
    text: str
    speaker: str = ""
    words: list[WordOut] | None = None

    @classmethod
    def of(cls, number: int, segment: Segment, *, words: bool) -> "SegmentReady":
        return cls(
            id=f"seg_{number}",
            start=segment.start,
            end=segment.end,
            text=segment.text,
            words=[WordOut.of(word) for word in segment.words] if words else None,
        )


class LanguageOut(BaseModel):
    code: str


class TextDone(BaseModel):
    """The end of a stream; the last three in `verbose_json` alone."""

    type: Literal["transcript.text.done"] = "transcript.text.done"
    text: str
    languages: list[LanguageOut]
    language: str | None = None
    language_probability: float | None = None
    duration: float | None = None


class RecordingSegmentOut(BaseModel):
    """Times over the joined recording; `words` only when asked for."""

    start: float
    end: float
    text: str
    avg_logprob: float
    no_speech_prob: float
    words: list[WordOut] | None = None


class RecordingOut(BaseModel):
    """`top_language_probs`: up to five pairs of code and probability, the likeliest first."""

    language: str
    top_language_probs: list[tuple[str, float]]
    duration: float
    segments: list[RecordingSegmentOut]

    @classmethod
    def of(cls, found: Transcription, *, words: bool) -> "RecordingOut":
        return cls(
            language=found.language,
            top_language_probs=list(found.top_language_probs),
            duration=round(found.duration_seconds, 3),
            segments=[
                RecordingSegmentOut(
                    start=segment.start,
                    end=segment.end,
                    text=segment.text.strip(),
                    avg_logprob=segment.avg_logprob,
                    no_speech_prob=segment.no_speech_prob,
                    words=[WordOut.of(word) for word in segment.words] if words else None,
                )
                for segment in found.segments
            ],
        )


class ModelOut(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    loaded: bool


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelOut]


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None

    @classmethod
    def of(cls, error: ApiError) -> "ErrorDetail":
        return cls(message=str(error), type=error.type, param=error.param, code=error.code)


class ErrorOut(BaseModel):
    """Every error, in OpenAI's form."""

    error: ErrorDetail

    @classmethod
    def of(cls, error: ApiError) -> "ErrorOut":
        return cls(error=ErrorDetail.of(error))


JobStatus = Literal["queued", "processing", "done", "failed"]


class JobSummary(BaseModel):
    """A job without its result. `progress` goes from 0 to 1; times are UTC.

    `instances` are the copies of the model that have worked on it, as `/system` numbers them.
    """

    id: str
    object: Literal["transcription.job"] = "transcription.job"
    status: JobStatus
    task: Task
    response_format: str
    filename: str | None
    progress: float
    seconds_done: float
    seconds_total: float | None
    instances: list[int]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: ErrorDetail | None


class JobOut(JobSummary):
    """`result` is what the transcription endpoint would have answered; a string but for JSON."""

    result: dict[str, Any] | str | None


class JobList(BaseModel):
    object: Literal["list"] = "list"
    data: list[JobSummary]


class HealthOut(BaseModel):
    status: Literal["ok"] = "ok"
    version: str


class ReadyOut(BaseModel):
    """`capacity` calls at once keep it full; `in_flight` are in work, `waiting` ones wait.

    `instance` is this process's own: another one means that the server was started anew.
    """

    status: Literal["ready"] = "ready"
    instance: str
    model: str
    device: str
    compute_type: str
    capacity: int
    in_flight: int
    waiting: int
