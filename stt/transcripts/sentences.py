"""Turn segments, as they come, into lines of a sentence each."""

from collections.abc import Iterator
from itertools import pairwise

from stt.domain.transcript import Segment
from stt.transcripts.segment_run import SegmentRun
from stt.transcripts.timed_text import text_of, timed_units

_MAX_PAUSE_MS = 2_000
"""Within a sentence. A longer pause ends a line: not all texts have full stops."""


class SentenceLines:
    """The lines of one text: segments go in, in their order; lines that are whole come out.

    Segments within a sentence are joined, and those of several sentences divided.
    """

    def __init__(self) -> None:
        self._run = SegmentRun(_MAX_PAUSE_MS)
        self._language: str | None = None

    def add(self, segment: Segment) -> Iterator[str]:
        """Yield the lines that are whole when this segment follows."""
        units = timed_units(segment)
        if not units:
            return
        language = segment.language or self._language
        if language != self._language or not self._run.add(units):
            yield from self.flush()
            self._run.add(units)
        self._language = language

    def flush(self) -> Iterator[str]:
        """Yield the lines of what is left."""
        units = self._run.take()
        begin = 0
        for at, (unit, following) in enumerate(pairwise(units), start=1):
            if unit.ends_sentence(following):
                yield text_of(units[begin:at])
                begin = at
        if units:
            yield text_of(units[begin:])
