"""The form fields that clients send, checked, as options of the engine."""

from abc import abstractmethod
from dataclasses import fields, replace
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import FormData

from stt.transcripts.cue_splitting import NO_LIMITS, CueLimits
from stt.transcripts.languages import language_code
from whisper_server.engines.base import Options, Task
from whisper_server.errors import InvalidRequest
from whisper_server.form_parser import MAX_TEXT_BYTES

ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"]
Granularity = Literal["segment", "word"]

MAX_CONTEXT_CHARACTERS = 20_000
"""Longest prompt, or hotwords, to encode: more than a window has room for."""

MAX_BEAM = 10
"""Each beam takes its own share of the device's memory."""


def _start_of(text: str | None) -> str | None:
    return text and text[:MAX_CONTEXT_CHARACTERS]


def _end_of(text: str | None) -> str | None:
    return text and text[-MAX_CONTEXT_CHARACTERS:]


def _not_streaming(wanted: bool) -> bool:
    if wanted:
        raise ValueError("a job does not stream: fetch it with GET /jobs/{id}")
    return wanted


class UploadForm(BaseModel):
    """The fields of every upload. Unknown ones are ignored; an empty one counts as not sent.

    `ignored_fields` of OpenAI's form, which no Whisper supports, are accepted; the response has
    a `Warning` for each.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    ignored_fields: ClassVar[tuple[str, ...]] = (
        "chunking_strategy", "include", "keywords", "languages", "known_speaker_names",
        "known_speaker_references",
    )  # fmt: skip

    model: str | None = Field(
        None,
        max_length=1_000,
        description="The loaded model's name, or whisper-1 for whichever is loaded.",
    )
    language: Annotated[str | None, AfterValidator(language_code)] = Field(
        None,
        max_length=100,
        description="Spoken language, as code (en) or English name; detected when left out, empty "
        "or auto.",
    )
    prompt: Annotated[str | None, AfterValidator(_end_of)] = Field(
        None, max_length=MAX_TEXT_BYTES, description="Words that precede the recording, as context."
    )
    hotwords: Annotated[str | None, AfterValidator(_start_of)] = Field(
        None,
        max_length=MAX_TEXT_BYTES,
        description="Names and terms to listen for, like: Aletsch, firn.",
    )
    temperature: float = Field(
        0.0, ge=0.0, le=1.0, description="0 = Whisper's own ladder of temperatures."
    )
    beam_size: int = Field(
        5, ge=1, le=MAX_BEAM, description="Hypotheses side by side; 1 is fastest."
    )
    track: int | None = Field(
        None, ge=1, le=10_000, description="Audio track to take, from 1; by default the file's."
    )
    vad_filter: bool = Field(True, description="Whether to leave out what is no speech.")
    speakers: bool = Field(
        False,
        description="Whether to find who speaks when: segments are cut where the speaker changes. "
        "The server needs `--speakers`.",
    )

    def options(self, task: Task) -> Options:
        """Return the engine's options; words are needed to find who speaks them."""
        same = self.model_dump(include={field.name for field in fields(Options)} - {"task"})
        words = self.wants_words() or self.wants_speakers()
        return Options(**same | {"task": task, "word_timestamps": words})

    def wants_speakers(self) -> bool:
        return self.speakers

    @abstractmethod
    def wants_words(self) -> bool:
        """Return whether the response has each word's times."""


class AudioForm(UploadForm):
    """The fields of `/v1/audio/transcriptions` and `/translations` beside the file."""

    response_format: ResponseFormat = Field(
        "json",
        description="verbose_json has segments with their times and Whisper's figures; "
        "diarized_json has segments with their speakers.",
    )
    timestamp_granularities: list[Granularity] = Field(
        ["segment"],
        max_length=100,
        alias="timestamp_granularities[]",
        description="`word` needs `response_format=verbose_json`; of a translation its times are "
        "less sure.",
    )
    stream: bool = Field(
        False, description="Whether to answer with server-sent events as segments become ready."
    )

    max_line_width: int = Field(
        42, ge=0, le=1_000, description="Of srt and vtt: the longest line of a cue; 0: no limit."
    )
    max_lines: int = Field(
        2, ge=0, le=1_000, description="Of srt and vtt: lines of a cue at most; 0: no limit."
    )
    max_cue_seconds: float = Field(
        7.0, ge=0, le=3_600, description="Of srt and vtt: the longest cue; 0: no limit."
    )

    def options(self, task: Task) -> Options:
        """Return the engine's options, with word times for cues that are to be split.

        The times of words of a translation are not good enough for that.
        """
        options = super().options(task)
        is_split = self.response_format in {"srt", "vtt"} and self.cue_limits() != NO_LIMITS
        if is_split and task == "transcribe":
            return replace(options, word_timestamps=True)
        return options

    def cue_limits(self) -> CueLimits:
        return CueLimits(self.max_line_width, self.max_lines, self.max_cue_seconds)

    def is_verbose(self) -> bool:
        return self.response_format == "verbose_json"

    def wants_words(self) -> bool:
        return "word" in self.timestamp_granularities

    def wants_speakers(self) -> bool:
        return self.speakers or self.response_format == "diarized_json"

    def wants_segments(self) -> bool:
        return "segment" in self.timestamp_granularities


class JobForm(AudioForm):
    """The fields of `/jobs` beside the file."""

    task: Task = "transcribe"
    stream: Annotated[bool, AfterValidator(_not_streaming)] = Field(
        False, description="Only false: a job is fetched later."
    )


class RecordingForm(UploadForm):
    """The fields of `/transcribe` beside the files."""

    task: Task = "transcribe"

    word_timestamps: bool = Field(False, description="Whether segments have `words`.")

    def wants_words(self) -> bool:
        return self.word_timestamps


Form = TypeVar("Form", bound=UploadForm)


def checked_form(data: FormData, model: type[Form]) -> Form:
    """Return the checked form; a field `name[]` is a list, and may be sent as `name` too.

    Raise InvalidRequest that names the field that is wrong.
    """
    values: dict[str, Any] = {}
    for field_name, declared in model.model_fields.items():
        name = declared.alias or field_name
        is_list = name.endswith("[]")
        sent = [*data.getlist(name), *(data.getlist(field_name) if is_list else ())]
        texts = [value for value in sent if isinstance(value, str) and value]
        if texts:
            values[name] = texts if is_list else texts[-1]
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name = str(first["loc"][0])
        reason = first["msg"].removeprefix("Value error, ")
        raise InvalidRequest(f"Invalid '{name}': {reason}", param=name) from None
