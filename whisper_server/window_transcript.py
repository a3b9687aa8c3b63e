"""One window from its first decoding to its text: attempts, checks, speech that was left out."""

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from whisper_server import quality
from whisper_server.audio_windows import Window
from whisper_server.engines.base import (
    SAMPLE_RATE,
    AlignedWord,
    Features,
    Samples,
    Segment,
    WindowInput,
    WindowResult,
    Word,
)
from whisper_server.transcript import TranscribedWindow
from whisper_server.word_times import (
    Activity,
    active_frames,
    active_seconds,
    fit,
    uncovered,
)

logger = logging.getLogger(__name__)

MARGIN_SECONDS = 0.2
"""Speech that was left out is decoded again with so much of what is around it."""
MOST_LEFT = 0.75
"""Speech that is left out again is tried again while a part shrinks to this share or less."""
SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？", "।", "؟")
SEGMENT_GAP_SECONDS = 0.5
"""A pause of so long ends a segment, a shorter one only behind a sentence."""
_SENTENCE_GAP_SECONDS = 0.2
_ABBREVIATION_LETTERS = 3


@dataclass(frozen=True)
class _Part:
    """A stretch of the window to decode, from `start` seconds on; `again`: it gave no text yet."""

    start: float
    input: WindowInput
    again: bool = False


class WindowTranscript:
    """The work on one window; not thread-safe.

    Decode `next_input` and `add` the result until it is None; then there is a `result`.
    """

    def __init__(
        self, window: Window, entry: WindowInput, features: Callable[[Samples], Features]
    ) -> None:
        self._window = window
        self._features = features
        self._ladder = quality.ladder_of(entry.options)
        self._activity: Activity = active_frames(window.samples)
        self._parts: deque[_Part] = deque([_Part(0.0, entry)])
        self._attempts: list[WindowResult] = []
        self._found: list[tuple[AlignedWord, WindowResult]] = []
        self._silent_seconds = 0.0
        self._language = entry.options.language or ""

    @property
    def next_input(self) -> WindowInput | None:
        return self._parts[0].input if self._parts else None

    def add(self, result: WindowResult) -> None:
        """Take the result for `next_input`."""
        part = self._parts[0]
        self._attempts.append(result)
        ladder = quality.SECOND_LADDER if part.again else self._ladder
        temperature = quality.next_temperature(self._attempts, ladder, needs_text=part.again)
        if temperature is not None:
            self._parts[0] = replace(part, input=replace(part.input, temperature=temperature))
            return
        best = quality.best_of(self._attempts)
        self._language = best.language
        self._attempts = []
        self._parts.popleft()
        self._take(part, best)

    def result(self, probs: Mapping[str, float]) -> TranscribedWindow:
        """Return the text on the recording's clock, without what cannot be speech.

        `probs`: of the window's languages.
        """
        window = self._window
        segments, dropped = self._segments()
        return TranscribedWindow(
            end=window.spans[-1].end / SAMPLE_RATE,
            seconds=window.seconds,
            segments=tuple(segments),
            language=self._language,
            probs=probs,
            silent_seconds=self._silent_seconds,
            dropped_segments=dropped,
        )

    def _segments(self) -> tuple[list[Segment], int]:
        """Return the segments, and how many were dropped as no speech."""
        segments: list[Segment] = []
        dropped = 0
        found = sorted(self._found, key=lambda pair: pair[0].start)
        starts = [0, *(i for i in range(1, len(found)) if self._begins(found, i)), len(found)]
        for first, last in pairwise(starts):
            words = [word for word, _ in found[first:last]]
            if not words:
                continue
            if quality.is_phantom(words, found[first][1], self._sound_of(words)):
                dropped += 1
                logger.debug("Dropped as no speech: %s", "".join(word.text for word in words))
                continue
            segments.append(self._segment(words, found[first][1]))
        return segments, dropped

    def _begins(self, found: Sequence[tuple[AlignedWord, WindowResult]], index: int) -> bool:
        """Return whether a segment begins with the word at `index`."""
        (before, result), (after, other) = found[index - 1], found[index]
        # In the recording: a long pause is left out of the window.
        end = self._window.recording_time(before.end, is_end=True)
        gap = self._window.recording_time(after.start, is_end=False) - end
        text = before.text.strip()
        is_abbreviation = len(text.strip("".join(SENTENCE_ENDS))) <= _ABBREVIATION_LETTERS
        ends_sentence = text.endswith(SENTENCE_ENDS) and (
            gap >= _SENTENCE_GAP_SECONDS or not is_abbreviation
        )
        return gap >= SEGMENT_GAP_SECONDS or ends_sentence or result is not other

    def _take(self, part: _Part, best: WindowResult) -> None:
        shifted = [
            replace(word, start=word.start + part.start, end=word.end + part.start)
            for word in best.words
        ]
        words = [self._on_one_side(word) for word in fit(shifted, self._activity)]
        known = [word for word, _ in self._found]
        fresh = [word for word in words if not _is_doubled(word, known)] if part.again else words
        self._found += [(word, best) for word in fresh]
        options = part.input.options
        if options.task == "translate" or not options.vad_filter:
            return  # the words are not those that were spoken; or the sound may be no speech
        end = part.start + part.input.seconds
        rest = [
            stretch
            for stretch in uncovered([word for word, _ in self._found], self._activity)
            if part.start <= (stretch[0] + stretch[1]) / 2 <= end
        ]
        for start, stop in rest:
            again = self._rest(part, start, stop)
            has_shrunk = again.input.seconds <= MOST_LEFT * part.input.seconds
            if part.again and (quality.is_silence(best) or not has_shrunk):
                self._silent_seconds += active_seconds(self._activity, start, stop)
            else:
                self._parts.append(again)

    def _on_one_side(self, word: AlignedWord) -> AlignedWord:
        """Return a word cut at what was left out of the window: the longer side of it is kept."""
        for seam in self._window.seams:
            if word.start < seam < word.end:
                is_before = seam - word.start > word.end - seam
                word = replace(word, end=seam) if is_before else replace(word, start=seam)
        return word

    def _rest(self, part: _Part, start: float, stop: float) -> _Part:
        """Return a stretch without text as a part of its own."""
        start, stop = max(0.0, start - MARGIN_SECONDS), stop + MARGIN_SECONDS
        samples = self._window.samples[round(start * SAMPLE_RATE) : round(stop * SAMPLE_RATE)]
        entry = replace(
            part.input,
            features=self._features(samples),
            seconds=len(samples) / SAMPLE_RATE,
            temperature=self._ladder[0],
            sound=None,
            with_timestamps=True,
        )
        return _Part(start, entry, again=True)

    def _sound_of(self, words: Sequence[AlignedWord]) -> float:
        return active_seconds(self._activity, words[0].start, words[-1].end)

    def _segment(self, words: Sequence[AlignedWord], result: WindowResult) -> Segment:
        length = self._window.seconds
        segment = Segment(
            start=min(words[0].start, length),
            end=min(words[-1].end, length),
            text="".join(word.text for word in words),
            seek=0,
            tokens=tuple(token for word in words for token in word.tokens),
            temperature=result.temperature,
            avg_logprob=result.avg_logprob,
            compression_ratio=result.compression_ratio,
            no_speech_prob=result.no_speech_prob,
            words=tuple(
                Word(min(w.start, length), min(w.end, length), w.text.strip(), w.probability)
                for w in words
            ),
            language=result.language,
        )
        return self._window.placed(segment)


def _is_doubled(word: AlignedWord, known: Sequence[AlignedWord]) -> bool:
    """Return whether a word lies where another one is already."""
    middle = (word.start + word.end) / 2
    return any(other.start <= middle <= other.end for other in known)
