"""Cut a recording into the windows that a model decodes, and map their times back. Pure.

A recording of hours is never in memory at once. It is cut into pieces, at a quiet moment each;
the speech of a piece is copied out, and the piece is freed. The speech that is waiting fills
windows: a full one leaves, the rest waits for the next piece's speech, so that a border between
two pieces costs no half-empty window. At the end the last windows share what is left evenly: two
of 16 s are more accurate than one of 30 s and one of 2 s, and cost the same.
"""

import math
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, zip_longest

import numpy as np

from stt.media.splitting import WINDOWS, cut, quietest
from whisper_server.engines.base import FRAMES_PER_SECOND, SAMPLE_RATE, Samples, Segment, Word
from whisper_server.map_ahead import Map
from whisper_server.word_times import pauses_in

PIECE_SECONDS = 60
"""Voice detection takes some 400 KB for each second of a piece, so 24 MB for one of them."""
MAX_PIECE_SECONDS = 320
"""In sequential decoding: a little more than the five minutes that a worker sends at once."""
SEARCH = 20 * SAMPLE_RATE
"""A piece ends within so many samples before its longest possible end."""
KEPT_GAP_SECONDS = 1.0
"""A pause up to this length stays in the window, as the speakers made it."""
FULL_SHARE = 0.8
"""A full window ends between this share of its length and its length."""
HELD_SHARE = 1.25
"""So many windows' speech waits for more: less would leave a sliver if no more came."""
ROOM_SHARE = 1 / 15
"""How far the last borders can move at least; for less a window more is taken."""
SPREAD_SHARE = 0.1
"""How far from the even share a border may be."""
SPLIT_REACH_SECONDS = 2.5
"""How far from a change of language the window is cut."""


@dataclass(frozen=True)
class Span:
    """A part of the recording, in samples from its start."""

    start: int
    length: int

    @property
    def end(self) -> int:
        return self.start + self.length


@dataclass(frozen=True)
class Window:
    """What the model decodes at once: the `spans` of the recording, one after the other."""

    samples: Samples
    spans: tuple[Span, ...]

    @property
    def seconds(self) -> float:
        return self._length / SAMPLE_RATE

    @property
    def _length(self) -> int:
        """The samples, counted by the spans: `samples` may have been freed."""
        return sum(span.length for span in self.spans)

    @property
    def seams(self) -> list[float]:
        """Return where the recording goes on after a part that was left out, in seconds."""
        ends = accumulate(span.length for span in self.spans[:-1])
        return [end / SAMPLE_RATE for end in ends]

    def recording_time(self, seconds: float, *, is_end: bool) -> float:
        """Return the time in the recording of a time within the window, both in seconds.

        At a seam between two spans, an end belongs to the earlier one, a start to the later.
        Times before the window's start or after its end are taken for these.
        """
        position = min(max(0, round(seconds * SAMPLE_RATE)), self._length)
        for span in self.spans:
            if position < span.length or (is_end and position == span.length):
                break
            position -= span.length
        else:
            position += span.length  # a start at the very end of the window
        return (span.start + position) / SAMPLE_RATE

    def placed(self, segment: Segment) -> Segment:
        """Return a segment of this window, and its words, on the recording's clock.

        A word of no length at a seam would end before it starts: it ends there instead.
        """

        def times(part: Segment | Word) -> tuple[float, float]:
            start = round(self.recording_time(part.start, is_end=False), 3)
            return start, max(start, round(self.recording_time(part.end, is_end=True), 3))

        start, end = times(segment)
        words = tuple(Word(*times(word), word.word, word.probability) for word in segment.words)
        seek = segment.seek + round(self.spans[0].start / SAMPLE_RATE * FRAMES_PER_SECOND)
        return replace(segment, start=start, end=end, seek=seek, words=words)

    def split(self, seconds: Sequence[float]) -> list["Window"]:
        """Cut the window near each of the rising times: at the nearest pause, if there is one."""
        parts: list[Window] = []
        rest = _WaitingSpeech(self._length, self.samples, self.spans)
        pauses = [round((start + end) / 2 * SAMPLE_RATE) for start, end in pauses_in(self.samples)]
        reach, done = round(SPLIT_REACH_SECONDS * SAMPLE_RATE), 0
        for time in seconds:
            goal = round(time * SAMPLE_RATE)
            low, high = max(done + 1, goal - reach), min(self._length - 1, goal + reach)
            near = [pause for pause in pauses if low <= pause <= high]
            alone = min(max(done + 1, goal), self._length - 1)
            border = min(near, key=lambda pause: abs(pause - goal), default=alone)
            parts.append(rest.first(border - done))
            done = border
        return [*parts, rest.first(self._length - done)]


FindSpeech = Callable[[Samples, float], list[Span]]
"""Returns the spans of speech in a piece, in order, apart, none longer than the given seconds."""


def cut_into_windows(
    blocks: Iterable[Samples],
    window_seconds: float,
    find_speech: FindSpeech | None,
    map_pieces: Map = map,
) -> Generator[list[Window], None, None]:
    """Yield the windows of a recording that arrives in `blocks`, a list for each piece of it.

    Without `find_speech` everything counts as speech. Holds one piece at a time in memory, and
    those that `map_pieces` has read ahead. A list may be empty: the piece was silent, or what it
    holds fills no window yet.
    """
    waiting = _WaitingSpeech(int(window_seconds * SAMPLE_RATE))
    longest = PIECE_SECONDS * SAMPLE_RATE

    def with_speech(cut_piece: tuple[int, Samples, bool]) -> tuple[int, Samples, bool, list[Span]]:
        _, piece, _ = cut_piece
        whole = [Span(0, len(piece))]
        return *cut_piece, find_speech(piece, window_seconds) if find_speech else whole

    pieces = cut(blocks, longest - SEARCH, longest, WINDOWS)
    for start, piece, is_last, speech in map_pieces(with_speech, pieces):
        waiting.add(piece, start, speech)
        del piece  # it may be long until the next one is cut
        yield waiting.take(everything=is_last)


def cut_into_pieces(blocks: Iterable[Samples]) -> Generator[list[Window], None, None]:
    """Yield pieces for sequential decoding: each, minutes long, is one window."""
    longest = MAX_PIECE_SECONDS * SAMPLE_RATE
    for start, piece, _ in cut(blocks, longest - SEARCH, longest, WINDOWS):
        yield [Window(piece, (Span(start, len(piece)),))]


class _WaitingSpeech:
    """Speech that waits for its window: copies of the samples, and their spans.

    A window takes at most `longest` samples.
    """

    def __init__(
        self, longest: int, samples: Samples | None = None, spans: Sequence[Span] = ()
    ) -> None:
        self._longest = longest
        self._samples: Samples = np.zeros(0, np.float32) if samples is None else samples
        self._spans = list(spans)

    def add(self, piece: Samples, offset: int, speech: Sequence[Span]) -> None:
        """Add the speech of a piece; a short gap goes with the speech before it."""
        parts = [self._samples]
        for span, following in zip_longest(speech, speech[1:]):
            end = span.end
            if following and following.start - end <= KEPT_GAP_SECONDS * SAMPLE_RATE:
                end = following.start
            if span.start < end:
                parts.append(piece[span.start : end])
                self._spans.append(Span(offset + span.start, end - span.start))
        self._samples = np.concatenate(parts)

    def take(self, *, everything: bool) -> list[Window]:
        """Return the windows that are full; with `everything` all."""
        longest = self._longest
        least = 0 if everything else longest * HELD_SHARE
        full = math.ceil(longest * FULL_SHARE)
        taken = []
        while len(self._samples) > least:
            border = self._even_border() if everything else self._border(full, longest, longest)
            taken.append(self.first(border))
        return taken

    def _even_border(self) -> int:
        """Return the end of the next window, if all goes into as few windows as possible."""
        longest, length = self._longest, len(self._samples)
        if length <= longest:
            return length
        # n windows with room to move their borders in hold n * (longest - room) + room.
        room = int(longest * ROOM_SHARE)
        count = -(-(length - room) // (longest - room))
        needed = length - (count - 1) * (longest - room) - room
        goal = length // count
        spread = int(longest * SPREAD_SHARE)
        return self._border(max(needed, goal - spread, 1), goal, min(longest, goal + spread))

    def _border(self, low: int, goal: int, high: int) -> int:
        """Return the pause nearest to `goal`, else the quietest place, in `low..high`.

        A detected pause goes first: with noise or music behind the voice, it is not a quiet place.
        """
        ends = accumulate(span.length for span in self._spans)
        pauses = [end for end in ends if low <= end <= high]
        if pauses:
            return min(pauses, key=lambda end: abs(end - goal))
        return quietest(self._samples, low, high, WINDOWS)

    def first(self, count: int) -> Window:
        """Remove the first `count` samples and return them as a window."""
        samples, self._samples = self._samples[:count].copy(), self._samples[count:].copy()
        spans: list[Span] = []
        while count:
            span = self._spans.pop(0)
            if span.length > count:
                self._spans.insert(0, Span(span.start + count, span.length - count))
                span = Span(span.start, count)
            count -= span.length
            if spans and spans[-1].end == span.start:
                span = Span(spans[-1].start, spans.pop().length + span.length)
            spans.append(span)
        return Window(samples, tuple(spans))
