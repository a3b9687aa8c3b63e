"""What Whisper heard: words in segments in a transcript, and their form in the database."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Word:
    """One word; `start` and `end` in seconds."""

    start: float
    end: float
    word: str
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech; `start` and `end` in seconds, `text` without outer blanks."""

    start: float
    end: float
    text: str
    avg_logprob: float | None = None
    no_speech_prob: float | None = None
    words: tuple[Word, ...] = ()

    def shifted(self, seconds: float) -> "Segment":
        """The same segment, `seconds` later (earlier when negative)."""
        words = tuple(
            replace(w, start=_milliseconds(w.start + seconds), end=_milliseconds(w.end + seconds))
            for w in self.words
        )
        start, end = _milliseconds(self.start + seconds), _milliseconds(self.end + seconds)
        return replace(self, start=start, end=end, words=words)


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was heard in one piece of audio, and who heard it; no segments: nothing was said.

    `seconds` is the wall-clock time that the server call took.
    """

    segments: tuple[Segment, ...] = ()
    language: str | None = None
    language_probability: float | None = None
    model: str | None = None
    server: str | None = None
    worker: str | None = None
    seconds: float | None = None

    @property
    def text(self) -> str:
        return " ".join(segment.text for segment in self.segments if segment.text)

    def to_document(self) -> dict[str, Any]:
        return {
            "language": self.language,
            "language_probability": self.language_probability,
            "segments": [_segment_to_document(segment) for segment in self.segments],
            "model": self.model,
            "server": self.server,
            "worker": self.worker,
            "seconds": self.seconds,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Transcript":
        """Reads what `to_document` wrote; fields that another program left out become None."""
        return cls(
            segments=tuple(_segment_from_document(s) for s in document.get("segments") or ()),
            language=document.get("language"),
            language_probability=document.get("language_probability"),
            model=document.get("model"),
            server=document.get("server"),
            worker=document.get("worker"),
            seconds=document.get("seconds"),
        )


def _segment_to_document(segment: Segment) -> dict[str, Any]:
    document: dict[str, Any] = {
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "avg_logprob": segment.avg_logprob,
        "no_speech_prob": segment.no_speech_prob,
    }
    if segment.words:
        document["words"] = [
            {"start": w.start, "end": w.end, "word": w.word, "probability": w.probability}
            for w in segment.words
        ]
    return document


def _segment_from_document(document: Mapping[str, Any]) -> Segment:
    return Segment(
        start=float(document.get("start") or 0.0),
        end=float(document.get("end") or 0.0),
        text=str(document.get("text") or "").strip(),
        avg_logprob=document.get("avg_logprob"),
        no_speech_prob=document.get("no_speech_prob"),
        words=tuple(
            Word(float(w["start"]), float(w["end"]), str(w["word"]), w.get("probability"))
            for w in document.get("words") or ()
        ),
    )


def _milliseconds(seconds: float) -> float:
    return round(seconds, 3)
