"""Cues of subtitles: valid SubRip and WebVTT for every text and every time."""

import html
import re
from math import isfinite

VTT_HEADER = "WEBVTT\n\n"

_MAX_SECONDS = 1e9
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufeff]")


class CueTimes:
    """Puts the times of one file's cues in order.

    Players ignore a cue that ends when it starts. WebVTT forbids that, and a start before that of
    the cue before. Such times, which models return, are moved to the nearest valid ones.
    """

    def __init__(self) -> None:
        self._earliest = 0

    def place(self, start: float, end: float) -> tuple[int, int]:
        """Return the next cue's start and end in milliseconds."""
        self._earliest = start_ms = max(milliseconds(start), self._earliest)
        return start_ms, max(milliseconds(end), start_ms + 1)


def srt_cue(number: int, start_ms: int, end_ms: int, text: str) -> str:
    """Return a cue of SubRip, which has no way to escape the arrow between two times."""
    times = f"{clock(start_ms, ',')} --> {clock(end_ms, ',')}"
    return f"{number}\n{times}\n{_lines(text).replace('-->', '->')}\n\n"


def vtt_cue(start_ms: int, end_ms: int, text: str) -> str:
    """Return a cue of WebVTT (https://www.w3.org/TR/webvtt1/)."""
    escaped = html.escape(_lines(text), quote=False)
    return f"{clock(start_ms, '.')} --> {clock(end_ms, '.')}\n{escaped}\n\n"


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


def _lines(text: str) -> str:
    """Return the lines of a cue: a blank one would end it."""
    lines = _CONTROL_CHARACTERS.sub("", text).splitlines()
    return "\n".join(line.strip() for line in lines if line.strip())
