"""Turn segments, as they come, into the cues of a subtitle file."""

from collections.abc import Iterator

from stt.transcripts.cue_splitting import (
    NO_LIMITS,
    PAUSE_MS,
    CueLimits,
    are_lines_within,
    fits,
    split,
)
from stt.transcripts.cues import MIN_SECONDS, Subtitle, SubtitleTrack, text_lines
from stt.transcripts.segment_run import SegmentRun
from stt.transcripts.timed_text import TimedText, timed_units


class Subtitles:
    """The subtitles of one file: segments go in, in their order; cues that are final come out.

    Whisper ends a segment wherever its window ends. Segments within a sentence, without a pause
    between them, are split together, so that no cue holds a word or two of the next segment.
    """

    def __init__(self, limits: CueLimits) -> None:
        self._limits = limits
        self._track = SubtitleTrack(min(MIN_SECONDS, limits.max_cue_seconds or MIN_SECONDS))
        self._run = SegmentRun(PAUSE_MS)

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
        if self._limits == NO_LIMITS or not self._run.add(units):
            yield from self._end_run()
            self._run.add(units)

    def add_cue(self, subtitle: Subtitle) -> Iterator[Subtitle]:
        """Yield the cues that are final when this one follows, which is not split."""
        yield from self._end_run()
        yield from self._track.add(subtitle)

    def flush(self) -> Iterator[Subtitle]:
        """Yield the cues that are not final yet."""
        yield from self._end_run()
        yield from self._track.flush()

    def _end_run(self) -> Iterator[Subtitle]:
        run = self._run.take()
        for subtitle in split(run, self._limits) if run else ():
            yield from self._track.add(subtitle)
