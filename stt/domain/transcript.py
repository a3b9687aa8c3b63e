"""Transcripts: segments of text with times, and words with times."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, StringConstraints
from pydantic.json_schema import SkipJsonSchema

from stt.domain.field_types import Many, Name, Number, Seconds, Text

Task = Literal["transcribe", "translate"]
"""What to write: what is said, or what it means in English."""

TASKS: tuple[Task, ...] = get_args(Task)


@dataclass(frozen=True, slots=True)
class Word:
    """A word; `start` and `end` in seconds."""

    start: Seconds
    end: Seconds
    word: Text
    probability: Number = None

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> "Word":
        """Read a word as servers and documents hold it; raise KeyError for a missing field."""
        start, end = float(body["start"]), float(body["end"])
        return cls(start, end, str(body["word"]), body.get("probability"))


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of speech; `start` and `end` in seconds, `text` without outer blanks.

    `language`: the code of the spoken one, None where the server names none for each segment.
    `channel`: the one that it was said on, counted from 1, None for all of them mixed. `speaker`:
    the id of a `LocalSpeaker`, in an export of a speaker of the recording; None where not known.
    """

    start: Seconds
    end: Seconds
    text: Annotated[Text, AfterValidator(str.strip)]
    avg_logprob: Number = None
    no_speech_prob: Number = None
    words: Many[Word] = ()
    language: Name | None = None
    channel: Annotated[int, Field(ge=1, le=10_000)] | None = None
    speaker: Name | None = None

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> "Segment":
        """Read a segment as servers and documents hold it; raise KeyError for a missing field."""
        language, speaker = body.get("language"), body.get("speaker")
        return cls(
            start=float(body["start"]),
            end=float(body["end"]),
            text=str(body["text"]).strip(),
            avg_logprob=body.get("avg_logprob"),
            no_speech_prob=body.get("no_speech_prob"),
            words=tuple(map(Word.read, body.get("words") or ())),
            language=language if isinstance(language, str) else None,
            speaker=speaker if isinstance(speaker, str) and speaker else None,
        )

    def shifted(self, seconds: float) -> "Segment":
        """Return the segment `seconds` later (earlier if negative)."""
        words = tuple(
            replace(w, start=_milliseconds(w.start + seconds), end=_milliseconds(w.end + seconds))
            for w in self.words
        )
        start, end = _milliseconds(self.start + seconds), _milliseconds(self.end + seconds)
        return replace(self, start=start, end=end, words=words)


@dataclass(frozen=True, slots=True)
class LocalSpeaker:
    """A speaker of one call of a server, and the seconds that he speaks in this transcript.

    `embedding`: the direction of the voice over the whole call, as base64 of 16-bit floats, the low
    byte first.
    """

    id: Name
    seconds: Seconds
    embedding: Annotated[str, StringConstraints(max_length=8_192)]

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> "LocalSpeaker":
        """Read one as servers and documents hold it; raise KeyError for a missing field."""
        return cls(str(body["id"]), float(body["seconds"]), str(body["embedding"]))


@dataclass(frozen=True, slots=True)
class Transcript:
    """The transcript of a piece of audio, and what made it; without segments if it is silent.

    `seconds` is the wall-clock time of the server call. `silent_speech_seconds`: audio in which
    voice activity was detected and no text was found. `language` is the spoken one, of a
    translation too. `speakers`: those of its segments; None where none were looked for, or the
    server could not find any. Its JSON has no `worker`.
    """

    segments: Many[Segment] = ()
    language: Name | None = None
    language_probability: Number = None
    model: Name | None = None
    server: Name | None = None
    worker: Annotated[SkipJsonSchema[str | None], Field(exclude=True)] = None
    seconds: Seconds | None = None
    silent_speech_seconds: Seconds = 0.0
    task: Task = "transcribe"
    speakers: Annotated[tuple[LocalSpeaker, ...], Field(max_length=1_000)] | None = None

    @property
    def text(self) -> str:
        return " ".join(segment.text for segment in self.segments if segment.text)


def _milliseconds(seconds: float) -> float:
    return round(seconds, 3)
