"""The wire: form fields that clients send, JSON that they get."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from whisper_server.engines.base import Options, Segment, Task, Transcription, Word
from whisper_server.languages import language_code

ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]
Granularity = Literal["segment", "word"]


def _known_language(text: str) -> str:
    code = language_code(text)
    if code is None:
        raise ValueError("not a language code (like en) or English name (like english)")
    return code


def _not_streaming(wanted: bool) -> bool:
    if wanted:
        raise ValueError("this server does not stream; leave it out")
    return wanted


Language = Annotated[str, AfterValidator(_known_language)]


class _Form(BaseModel):
    """Fields that are not listed are ignored; an empty field counts as not sent."""

    model_config = ConfigDict(hide_input_in_errors=True)

    model: str | None = Field(
        None, description="The loaded model's name, or whisper-1 for whichever is loaded."
    )
    prompt: str | None = Field(None, description="Words that precede the recording, as context.")
    temperature: float = Field(
        0.0, ge=0.0, le=1.0, description="0 = Whisper's own ladder of temperatures."
    )


class TranslationForm(_Form):
    """What `/v1/audio/translations` takes beside the file."""

    response_format: ResponseFormat = "json"
    language: Language | None = Field(
        None, description="Spoken language, as code or English name; detected when left out."
    )
    stream: Annotated[bool, AfterValidator(_not_streaming)] = Field(
        False, description="Streaming is not supported yet: only false."
    )

    def granularities(self) -> tuple[Granularity, ...]:
        return ("segment",)


class TranscriptionForm(TranslationForm):
    """What `/v1/audio/transcriptions` takes beside the file."""

    timestamp_granularities: list[Granularity] = Field(
        ["segment"],
        alias="timestamp_granularities[]",
        description="`word` needs `response_format=verbose_json`.",
    )

    def granularities(self) -> tuple[Granularity, ...]:
        return tuple(self.timestamp_granularities)


class RecordingForm(_Form):
    """What `/transcribe` takes beside the files."""

    language: Language | None = None
    word_timestamps: bool = False


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
        cls, task: Task, found: Transcription, granularities: tuple[Granularity, ...]
    ) -> "VerboseOut":
        """With segments, words or both, as asked for."""
        out = cls(
            task=task,
            language=found.language,
            language_probability=found.language_probability,
            duration=round(found.duration_seconds, 3),
            text=found.text,
        )
        if "segment" in granularities:
            out.segments = [SegmentOut.of(i, segment) for i, segment in enumerate(found.segments)]
        if "word" in granularities:
            out.words = [WordOut.of(word) for segment in found.segments for word in segment.words]
        return out


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


class HealthOut(BaseModel):
    status: Literal["ok"] = "ok"
    version: str


class ReadyOut(BaseModel):
    """`capacity`: transcriptions at once; `in_flight` of them run, `waiting` requests wait.

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


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorOut(BaseModel):
    """Every error, in OpenAI's form."""

    error: ErrorDetail


def options_of(form: TranslationForm | RecordingForm, task: Task) -> Options:
    """What the engine is asked to do."""
    if isinstance(form, RecordingForm):
        words = form.word_timestamps
    else:
        words = "word" in form.granularities()
    return Options(
        task=task,
        language=form.language,
        prompt=form.prompt,
        temperature=form.temperature,
        word_timestamps=words,
    )
