"""Split text into cues that can be read: few lines, short lines, not for too long. Pure.

A text is split into cues, and a cue into lines, so that the sum of costs is least (dynamic
programming, as Knuth and Plass break paragraphs): each part costs something; parts of equal width
cost least; a break costs nothing after a sentence, and more after a clause, at a pause, and
anywhere else; a word alone costs most.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from math import inf

from stt.transcripts.cues import Subtitle, milliseconds
from stt.transcripts.timed_text import ORPHAN_CELLS, Unit, cell_width, text_of, width_of

_LONG_PAUSE_MS = 1_500
"""Of a pause that always ends a cue: its text would be shown long before it is spoken."""
PAUSE_MS = 300
_CLAUSE_COST, _PAUSE_COST, _WORD_COST, _ORPHAN_COST = 0.5, 0.8, 1.5, 2.0
_CUE_COST, _LINE_COST = 1.0, 100.0
_ROOM = 84
"""Cells of a cue that has no limit of its own."""
_MAX_UNITS = 100
"""Of a cue that is split off: keeps the time linear where a limit is off."""


@dataclass(frozen=True, slots=True)
class CueLimits:
    """The limits of a cue; 0 for none. `max_line_width` in cells, of which 漢 takes two."""

    max_line_width: int = 42
    max_lines: int = 2
    max_cue_seconds: float = 7.0


DEFAULT_LIMITS = CueLimits()
NO_LIMITS = CueLimits(0, 0, 0)

Units = Sequence[Unit]
Part = tuple[int, float]
"""Where a part ends (the index behind it), and its cost."""


def split(units: Units, limits: CueLimits) -> list[Subtitle]:
    """Return the cues of a text; one of them is too large only if a single unit is."""
    cues: list[Units] = []
    for group in _between_long_pauses(units):
        if fits(group, limits) and not any(unit.begins_segment for unit in group[1:]):
            cues.append(group)
        else:
            cues += _partition(group, partial(_cues_from, group, _break_costs(group), limits))
    return [
        Subtitle(cue[0].start, cue[-1].end, "\n".join(_lines(cue, limits.max_line_width)))
        for cue in cues
    ]


def fits(units: Units, limits: CueLimits) -> bool:
    """Return whether a text is one cue within the limits."""
    return any(behind == len(units) for behind, _ in _within(units, 0, limits))


def are_lines_within(lines: Sequence[str], limits: CueLimits) -> bool:
    """Return whether so many lines of such widths are within the limits."""
    widest = max(map(cell_width, lines))
    return not 0 < limits.max_lines < len(lines) and not 0 < limits.max_line_width < widest


def _partition(units: Units, parts_from: Callable[[int], Iterator[Part]]) -> list[Units]:
    """Return the cheapest partition; `parts_from` yields the parts that begin at a unit."""
    costs = [0.0] + [inf] * len(units)
    begins = [0] * (len(units) + 1)
    for first in range(len(units)):
        for behind, cost in parts_from(first):
            if costs[first] + cost < costs[behind]:
                costs[behind], begins[behind] = costs[first] + cost, first
    parts, behind = [], len(units)
    while behind:
        parts.append(units[begins[behind] : behind])
        behind = begins[behind]
    return parts[::-1]


def _cues_from(
    units: Units, breaks: Sequence[float], limits: CueLimits, first: int
) -> Iterator[Part]:
    room = limits.max_line_width * limits.max_lines
    for behind, width in islice(_within(units, first, limits), _MAX_UNITS):
        yield behind, _CUE_COST + _cost(breaks, first, behind, width, room)


def _lines_from(
    units: Units, breaks: Sequence[float], max_width: int, first: int
) -> Iterator[Part]:
    for behind, width in _within(units, first, CueLimits(max_width, 1, 0)):
        yield behind, _LINE_COST + _cost(breaks, first, behind, width, max_width)


def _within(units: Units, first: int, limits: CueLimits) -> Iterator[tuple[int, int]]:
    """Yield the end and the width of each cue from `first` within the limits, one at least."""
    latest_end = units[first].start + (milliseconds(limits.max_cue_seconds) or inf)
    lines, line_width, width = 1, 0, -units[first].space
    for behind in range(first + 1, len(units) + 1):
        unit = units[behind - 1]
        line_width += unit.space + unit.width if line_width else unit.width
        width += unit.space + unit.width
        if behind > first + 1:
            if 0 < limits.max_line_width < line_width:
                lines, line_width = lines + 1, unit.width
            if 0 < limits.max_lines < lines or unit.end > latest_end:
                return
        yield behind, width


def _lines(units: Units, max_width: int) -> list[str]:
    """Return the fewest lines that hold a cue, of widths as equal as can be."""
    if not max_width or width_of(units) <= max_width:
        return [text_of(units)]
    lines_from = partial(_lines_from, units, _break_costs(units), max_width)
    return [text_of(line) for line in _partition(units, lines_from)]


def _break_costs(units: Units) -> list[float]:
    """Return what a break costs before each unit, and behind the last one."""
    costs = [0.0]
    for unit, following in pairwise(units):
        if unit.ends_sentence(following):
            costs.append(0.0)
        elif unit.ends_clause():
            costs.append(_CLAUSE_COST)
        else:
            is_pause = following.start - unit.end >= PAUSE_MS or following.begins_segment
            costs.append(_PAUSE_COST if is_pause else _WORD_COST)
    return [*costs, 0.0]


def _cost(breaks: Sequence[float], first: int, behind: int, width: int, room: int) -> float:
    """Return the cost of a part of this width in its room, and of the break behind it."""
    cost = (width / (room or _ROOM)) ** 2 + breaks[behind]
    is_sentence = not breaks[first] and not breaks[behind]
    is_short = behind == first + 1 or width < ORPHAN_CELLS
    return cost + _ORPHAN_COST if is_short and not is_sentence else cost


def _between_long_pauses(units: Units) -> Iterator[Units]:
    first = 0
    for at, (unit, following) in enumerate(pairwise(units), start=1):
        if following.start - unit.end >= _LONG_PAUSE_MS:
            yield units[first:at]
            first = at
    yield units[first:]
