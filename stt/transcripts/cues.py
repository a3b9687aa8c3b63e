"""Cues of subtitles: valid SubRip and WebVTT for every text and every time."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isfinite

VTT_HEADER = "WEBVTT\n\n"
MIN_SECONDS = 5 / 6
"""Shorter cues cannot be read (Netflix, Timed Text Style Guide: minimum duration)."""
_MS_OF_A_CHARACTER = 50
"""Of reading (the same guide, English: 20 characters in a second)."""

_MAX_SECONDS = 1e9
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufeff]")


@dataclass(frozen=True, slots=True)
class Subtitle:
    """A cue of a subtitle file: what is on the screen, and when, in milliseconds."""

    start: int
    end: int
    text: str


class SubtitleTrack:
    """Puts one file's subtitles in order, so that none overlaps another or lasts no time.

    One that starts before the one before it is moved. One that ends after the next one starts is
    cut, unless there was no time to read it: then the next one waits. One that is shorter than
    MIN_SECONDS is prolonged into the pause that follows.
    """

    def __init__(self, min_seconds: float = MIN_SECONDS) -> None:
        self._min = max(milliseconds(min_seconds), 1)
        self._earliest = 0
        self._last: Subtitle | None = None

    def add(self, subtitle: Subtitle) -> Iterator[Subtitle]:
        """Yield the subtitle before, which has its final times now."""
        start = max(subtitle.start, self._earliest)
        if last := self._last:
            needed = max(self._min, len(last.text) * _MS_OF_A_CHARACTER)
            start = max(start, min(last.end, last.start + needed))
            yield self._until(last, start)
        self._last = Subtitle(start, max(subtitle.end, start + 1), subtitle.text)

    def flush(self) -> Iterator[Subtitle]:
        """Yield the last subtitle."""
        if last := self._last:
            self._last = None
            final = self._until(last, last.end + self._min)
            self._earliest = final.end
            yield final

    def _until(self, subtitle: Subtitle, next_start: int) -> Subtitle:
        return replace(subtitle, end=min(max(subtitle.end, subtitle.start + self._min), next_start))


class CueTimes:
    """Puts the times of one file's segments in order.

    Models return segments that end when they start, or start before the one before. Such times
    are moved to the nearest valid ones.
    """

    def __init__(self) -> None:
        self._earliest = 0

    def place(self, start: float, end: float) -> tuple[int, int]:
        """Return the next segment's start and end in milliseconds."""
        self._earliest = start_ms = max(milliseconds(start), self._earliest)
        return start_ms, max(milliseconds(end), start_ms + 1)


def srt_cue(number: int, cue: Subtitle) -> str:
    """Return a cue of SubRip, which has no way to escape the arrow between two times."""
    times = f"{clock(cue.start, ',')} --> {clock(cue.end, ',')}"
    return f"{number}\n{times}\n{_body(cue.text).replace('-->', '->')}\n\n"


def vtt_cue(cue: Subtitle) -> str:
    """Return a cue of WebVTT (https://www.w3.org/TR/webvtt1/)."""
    escaped = html.escape(_body(cue.text), quote=False)
    return f"{clock(cue.start, '.')} --> {clock(cue.end, '.')}\n{escaped}\n\n"


def milliseconds(seconds: float) -> int:
    """Return a time in whole milliseconds; 0 for one that is negative or no number."""
    return round(min(max(seconds, 0.0), _MAX_SECONDS) * 1000) if isfinite(seconds) else 0


def clock(milliseconds: int, point: str) -> str:
    """Return a time as 01:02:03.004, with `point` before the milliseconds."""
    seconds, thousandths = divmod(max(milliseconds, 0), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{thousandths:03}"


def one_line(text: str) -> str:
    """Return `text` on one line, without control characters."""
    return " ".join(_CONTROL_CHARACTERS.sub("", text).split())


def text_lines(text: str) -> list[str]:
    """Return the lines of a text without blank ones, which would end a cue."""
    lines = _CONTROL_CHARACTERS.sub("", text).splitlines()
    return [line.strip() for line in lines if line.strip()]


def _body(text: str) -> str:
    return "\n".join(text_lines(text))
