"""Turn segments, as they come, into the cues of a subtitle file."""

from collections.abc import Iterator
from dataclasses import replace

from stt.transcripts.cue_splitting import (
    NO_LIMITS,
    PAUSE_MS,
    CueLimits,
    are_lines_within,
    fits,
    is_orphan,
    split,
)
from stt.transcripts.cues import MIN_SECONDS, Subtitle, SubtitleTrack, text_lines
from stt.transcripts.timed_text import TimedText, Unit, timed_units

_MAX_RUN_MS, _MAX_RUN_UNITS = 30_000, 200
"""Of segments that are split together."""


class Subtitles:
    """The subtitles of one file: segments go in, in their order; cues that are final come out.

    Whisper ends a segment wherever its window ends. Segments within a sentence, without a pause
    between them, are split together, so that no cue holds a word or two of the next segment.
    """

    def __init__(self, limits: CueLimits) -> None:
        self._limits = limits
        self._track = SubtitleTrack(min(MIN_SECONDS, limits.max_cue_seconds or MIN_SECONDS))
        self._run: list[Unit] = []

    def add(self, segment: TimedText) -> Iterator[Subtitle]:
        """Yield the cues that are final when this segment follows.

        Line breaks of a text that fits are kept.
        """
        units = timed_units(segment, shorten=self._limits.max_cue_seconds > 0)
        if not units:
            return
        lines = text_lines(segment.text)
        if len(lines) > 1 and fits(units, self._limits) and are_lines_within(lines, self._limits):
            yield from self.add_cue(Subtitle(units[0].start, units[-1].end, "\n".join(lines)))
            return
        if self._run and self._is_continued_by(units):
            units[0] = replace(units[0], begins_segment=True, space=_space(self._run[-1], units[0]))
        else:
            yield from self._end_run()
        self._run += units

    def add_cue(self, subtitle: Subtitle) -> Iterator[Subtitle]:
        """Yield the cues that are final when this one follows, which is not split."""
        yield from self._end_run()
        yield from self._track.add(subtitle)

    def flush(self) -> Iterator[Subtitle]:
        """Yield the cues that are not final yet."""
        yield from self._end_run()
        yield from self._track.flush()

    def _end_run(self) -> Iterator[Subtitle]:
        run, self._run = self._run, []
        for subtitle in split(run, self._limits) if run else ():
            yield from self._track.add(subtitle)

    def _is_continued_by(self, units: list[Unit]) -> bool:
        last, first = self._run[-1], units[0]
        is_near = 0 <= first.start - last.end < PAUSE_MS
        is_long = (
            units[-1].end - self._run[0].start > _MAX_RUN_MS
            or len(self._run) + len(units) > _MAX_RUN_UNITS
        )
        if not is_near or is_long or last.ends_sentence(first) or self._limits == NO_LIMITS:
            return False
        if first.is_capital and not (is_orphan(units) or is_orphan(self._run)):
            return False
        return first.text[0].isalnum()  # no dash or bracket of another speaker


def _space(before: Unit, after: Unit) -> int:
    return int(not (before.is_spaceless and after.is_spaceless))
