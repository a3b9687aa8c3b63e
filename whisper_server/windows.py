"""Cuts a recording into the windows that a model decodes, and maps their times back. Pure.

A recording of hours is never in memory at once. It is cut into pieces, at a quiet moment each;
the speech of a piece is copied out, and the piece goes. What speech is waiting fills windows: a
full one leaves, the rest waits for the next piece's speech, so that a border between two pieces
costs no half-empty window. At the end the last windows share what is left evenly: two of 16 s are
heard better than one of 30 s and one of 2 s, and cost the same.
"""

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

import numpy as np

from stt.media.splitting import quietest
from whisper_server.engines.base import SAMPLE_RATE, Samples, Segment
from whisper_server.engines.segments import moved

PIECE_SECONDS = 60
"""Voice detection takes some 400 KB for each second of a piece, so 24 MB for one of them."""
MAX_PIECE_SECONDS = 320
"""In sequential decoding: a little more than the five minutes that a worker sends at once."""
SEARCH_SECONDS = 20
"""A piece ends within so many seconds before its longest possible end."""
KEPT_GAP_SECONDS = 1.0
"""A pause up to this length stays in the window, as the speakers made it."""
FULL_SHARE = 0.8
"""A full window ends between this share of its length and its length."""
HELD_SHARE = 1.25
"""So many windows' speech waits for more: less would leave a sliver if no more came."""
ROOM_SHARE = 1 / 15
"""How far the last borders can move at least; for less a window more is taken."""
SPREAD_SHARE = 0.1
"""How far from the even share a border is looked for."""


@dataclass(frozen=True)
class Span:
    """A stretch of the recording, in samples from its start."""

    start: int
    length: int

    @property
    def end(self) -> int:
        return self.start + self.length


@dataclass(frozen=True)
class Window:
    """What the model hears at once: the `spans` of the recording, one behind the other."""

    samples: Samples
    spans: tuple[Span, ...]

    @property
    def seconds(self) -> float:
        return self._length / SAMPLE_RATE

    @property
    def _length(self) -> int:
        """By the spans: who needs no samples any more may have let go of them."""
        return sum(span.length for span in self.spans)

    def recording_time(self, seconds: float, *, is_end: bool) -> float:
        """A time within the window → the time in the recording, both in seconds.

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
        """Return a segment of this window on the recording's clock."""
        return moved(
            segment,
            partial(self.recording_time, is_end=False),
            partial(self.recording_time, is_end=True),
            seek_seconds=self.spans[0].start / SAMPLE_RATE,
        )


SpeechDetector = Callable[[Samples], list[Span]]
"""Where somebody speaks in a piece; spans in order, none over another."""


def cut_into_windows(
    blocks: Iterable[Samples], window_seconds: float, find_speech: SpeechDetector | None
) -> Generator[list[Window], None, None]:
    """The windows of a recording that arrives in `blocks`, a list for each piece of it.

    Without `find_speech` everything counts as speech. Holds one piece at a time in memory. A list
    may be empty: the piece was silent, or what it holds fills no window yet.
    """
    longest = int(window_seconds * SAMPLE_RATE)
    waiting: list[_Part] = []
    for start, piece, is_last in _pieces(blocks, PIECE_SECONDS * SAMPLE_RATE):
        speech = [Span(0, len(piece))] if find_speech is None else find_speech(piece)
        waiting += _parts(piece, start, speech)
        del piece  # it may be long until somebody asks for the next one
        yield _take_windows(waiting, longest, everything=is_last)


def cut_into_pieces(blocks: Iterable[Samples]) -> Generator[list[Window], None, None]:
    """The same for sequential decoding: each piece, minutes long, is one window."""
    for start, piece, _ in _pieces(blocks, MAX_PIECE_SECONDS * SAMPLE_RATE):
        yield [Window(piece, (Span(start, len(piece)),))]


@dataclass(frozen=True)
class _Part:
    """Speech that waits for its window: samples of their own, and where they began."""

    start: int
    samples: Samples

    @property
    def length(self) -> int:
        return len(self.samples)


def _pieces(blocks: Iterable[Samples], longest: int) -> Iterator[tuple[int, Samples, bool]]:
    """(start, samples, whether it is the last); the same ones however the blocks are chopped."""
    start = held = 0
    waiting: list[Samples] = []
    for block in blocks:
        waiting.append(block)
        held += len(block)
        while held > longest:
            samples = waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
            search = min(SEARCH_SECONDS * SAMPLE_RATE, longest // 2)
            cut = _quietest(samples[:longest], longest - search, longest)
            start, held, waiting = start + cut, held - cut, [samples[:cut], samples[cut:].copy()]
            del samples
            yield start - cut, waiting.pop(0), False  # nothing here holds on to what was given
    if held:
        yield start, np.concatenate(waiting), True


def _parts(piece: Samples, offset: int, speech: Sequence[Span]) -> Iterator[_Part]:
    """Copies of the speech; a short gap goes with what was said before it."""
    for position, span in enumerate(speech):
        end = span.end
        if position + 1 < len(speech):
            following = speech[position + 1].start
            if following - end <= KEPT_GAP_SECONDS * SAMPLE_RATE:
                end = following
        if span.start < end:
            yield _Part(offset + span.start, piece[span.start : end].copy())


def _take_windows(waiting: list[_Part], longest: int, *, everything: bool) -> list[Window]:
    """The windows that can leave, out of `waiting`, which keeps the rest."""
    taken = []
    border = _even_border if everything else _full_border
    least = 0 if everything else longest * HELD_SHARE
    while sum(part.length for part in waiting) > least:
        parts, waiting[:] = _split(waiting, border(waiting, longest))
        taken.append(_window(parts))
    return taken


def _full_border(parts: Sequence[_Part], longest: int) -> int:
    """Where a full window ends when more speech waits behind it than a window's worth."""
    return _border(parts, math.ceil(longest * FULL_SHARE), longest, longest)


def _even_border(parts: Sequence[_Part], longest: int) -> int:
    """Where the next window ends when all that is left goes into as few windows as can be."""
    length = sum(part.length for part in parts)
    if length <= longest:
        return length
    # n windows with room to move their borders in hold n * (longest - room) + room.
    room = int(longest * ROOM_SHARE)
    count = -(-(length - room) // (longest - room))
    needed = length - (count - 1) * (longest - room) - room
    goal = length // count
    spread = int(longest * SPREAD_SHARE)
    return _border(parts, max(needed, goal - spread, 1), goal, min(longest, goal + spread))


def _border(parts: Sequence[_Part], low: int, goal: int, high: int) -> int:
    """The pause nearest to `goal`, else the quietest place, in `low..high`.

    A detected pause goes first: with noise or music behind the voice, it is not a quiet place.
    """
    pauses = [end for end in accumulate(part.length for part in parts) if low <= end <= high]
    if pauses:
        return min(pauses, key=lambda end: abs(end - goal))
    return _quietest(np.concatenate([part.samples for part in parts]), low, high)


def _split(parts: Sequence[_Part], position: int) -> tuple[list[_Part], list[_Part]]:
    """The parts before and behind a `position` in all their samples, one of them cut in two."""
    before: list[_Part] = []
    for index, part in enumerate(parts):
        if position < part.length:
            if position == 0:
                return before, list(parts[index:])
            before.append(_Part(part.start, part.samples[:position]))
            rest = _Part(part.start + position, part.samples[position:].copy())
            return before, [rest, *parts[index + 1 :]]
        before.append(part)
        position -= part.length
    return before, []


def _window(parts: Sequence[_Part]) -> Window:
    spans: list[Span] = []
    for part in parts:
        if spans and spans[-1].end == part.start:
            spans[-1] = Span(spans[-1].start, spans[-1].length + part.length)
        else:
            spans.append(Span(part.start, part.length))
    return Window(np.concatenate([part.samples for part in parts]), tuple(spans))


def _quietest(samples: Samples, earliest: int, latest: int) -> int:
    # At one scale: in speech almost without pauses the three scales of the cuts at ingest cost a
    # sixth more wrong words (80 minutes of synthesized speech, the demo model).
    return quietest(samples, earliest, latest, scales_seconds=(0.1,), earliness_db=0.0)
