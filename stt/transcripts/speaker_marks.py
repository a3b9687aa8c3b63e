"""Say in a text who speaks, where speakers or channels are known."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from stt.domain.transcript import Segment
from stt.transcripts.formats import Cue


def with_speaker_marks(cues: Iterable[Cue]) -> Iterator[Cue]:
    """Put "[Ada]" or "[Channel 2]" before the text where it is another one than before.

    "[?]" stands where one who is not known follows one who is.
    """
    before: str | None = None
    for cue in cues:
        if isinstance(cue, Segment) and cue.text:
            who = cue.speaker or (cue.channel and f"Channel {cue.channel}") or None
            if who != before:
                before = who
                yield replace(cue, text=f"[{who or '?'}] {cue.text}")
                continue
        yield cue
