"""Segments that belong together: Whisper ends one wherever its window ends, or someone pauses."""

from collections.abc import Sequence
from dataclasses import replace

from stt.transcripts.timed_text import Unit, is_orphan

_MAX_MS, _MAX_UNITS = 30_000, 200


class SegmentRun:
    """The units of segments within one sentence, with pauses of less than `max_pause_ms`."""

    def __init__(self, max_pause_ms: int) -> None:
        self._max_pause_ms = max_pause_ms
        self._units: list[Unit] = []

    def add(self, units: Sequence[Unit]) -> bool:
        """Add a segment if it goes on where the run ends, or begins it; return whether it does."""
        if not self._units:
            self._units += units
            return True
        if not self._is_continued_by(units):
            return False
        last, first = self._units[-1], units[0]
        space = int(not (last.is_spaceless and first.is_spaceless))
        self._units += [replace(first, begins_segment=True, space=space), *units[1:]]
        return True

    def take(self) -> list[Unit]:
        """Return the units of the run, and begin another one."""
        run, self._units = self._units, []
        return run

    def _is_continued_by(self, units: Sequence[Unit]) -> bool:
        last, first = self._units[-1], units[0]
        is_near = 0 <= first.start - last.end < self._max_pause_ms
        is_long = (
            units[-1].end - self._units[0].start > _MAX_MS
            or len(self._units) + len(units) > _MAX_UNITS
        )
        if not is_near or is_long or last.ends_sentence(first):
            return False
        is_within = last.ends_clause() or is_orphan(units) or is_orphan(self._units)
        if first.is_capital and not is_within:
            return False
        return first.text[0].isalnum()  # no dash or bracket of another speaker
