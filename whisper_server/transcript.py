"""A recording's transcript as it grows, window by window. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from whisper_server.engines.base import DEFAULT_LANGUAGE, Segment, Transcription
from whisper_server.engines.segments import top_languages

PROMPT_CHARACTERS = 400
"""The text passed from a piece to the next in sequential decoding: more than 223 tokens hold."""
PROMPT_SEGMENTS = 20
SEAM_SECONDS = 0.3
"""Words so near to each other at the border of two windows may be the same word, cut in two."""


@dataclass(frozen=True)
class TranscribedWindow:
    """One window's text, on the recording's clock, and the seconds of speech in the window.

    `end`: where the window ends in the recording. `probs`: of the languages, if they were found.
    """

    end: float
    seconds: float
    segments: tuple[Segment, ...]
    language: str
    probs: Mapping[str, float] = field(default_factory=dict)
    silent_seconds: float = 0.0
    dropped_segments: int = 0


class Transcript:
    """Puts windows in order. `language` is the given one, None if it is found."""

    def __init__(self, language: str | None) -> None:
        self.seconds_done = 0.0
        self._language = language
        self._waiting: dict[int, TranscribedWindow] = {}
        self._count = 0
        self._segments: list[Segment] = []
        self._silent_seconds = 0.0
        self._dropped_segments = 0
        self._speech: defaultdict[str, float] = defaultdict(float)
        self._probs: defaultdict[str, float] = defaultdict(float)
        self._window_seconds = 0.0

    @property
    def prompt(self) -> str:
        """The end of the text so far."""
        text = "".join(segment.text for segment in self._segments[-PROMPT_SEGMENTS:])
        return text[-PROMPT_CHARACTERS:]

    def put(self, position: int, window: TranscribedWindow) -> tuple[Segment, ...]:
        """Add a window; return the segments that have become ready without a gap."""
        self._waiting[position] = window
        first = len(self._segments)
        while ready := self._waiting.pop(self._count, None):
            self._count += 1
            self._append(ready)
        return tuple(self._segments[first:])

    def result(self, seconds: float) -> Transcription:
        """Return the transcript of a recording of so many seconds."""
        if self._language is not None:
            probs = {self._language: 1.0}
        else:
            total = self._window_seconds or 1.0
            probs = {code: share / total for code, share in self._probs.items()}
        language = self._language or max(
            self._speech, key=lambda code: self._speech[code], default=DEFAULT_LANGUAGE
        )
        ranked = sorted(probs.items(), key=lambda pair: -pair[1]) or [(language, 0.0)]
        return Transcription(
            language=language,
            language_probability=probs.get(language, 0.0),
            top_language_probs=top_languages(ranked),
            duration_seconds=seconds,
            segments=tuple(self._segments),
            silent_speech_seconds=round(self._silent_seconds, 2),
            dropped_segments=self._dropped_segments,
        )

    def _append(self, window: TranscribedWindow) -> None:
        self._segments += _without_doubled(self._segments, window.segments)
        self._silent_seconds += window.silent_seconds
        self._dropped_segments += window.dropped_segments
        self.seconds_done = window.end
        # A window without text counts only where none has any.
        self._speech[window.language] += window.seconds if window.segments else 1e-6
        self._window_seconds += window.seconds
        for code, prob in (window.probs or {window.language: 1.0}).items():
            self._probs[code] += prob * window.seconds


def _without_doubled(before: Sequence[Segment], after: Sequence[Segment]) -> Sequence[Segment]:
    """Return segments without the first word if it repeats the last one before at the same place.

    A word that is cut in two by the border of two windows may be recognized in both.
    """
    if not before or not after or not before[-1].words or not after[0].words:
        return after
    last, first = before[-1].words[-1], after[0].words[0]
    if first.start - last.end > SEAM_SECONDS or _plain(first.word) != _plain(last.word):
        return after
    if last.end - last.start + first.end - first.start > 2 * SEAM_SECONDS:
        return after  # each of them is as long as a word
    words = after[0].words[1:]
    if not words:
        return after[1:]
    text = after[0].text.lstrip().removeprefix(first.word)
    return [replace(after[0], start=words[0].start, text=text, words=words), *after[1:]]


def _plain(word: str) -> str:
    return "".join(letter for letter in word.lower() if letter.isalnum())
