"""Say in a text who speaks, where the channels of a recording were transcribed one by one."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from stt.domain.transcript import Segment
from stt.transcripts.formats import Cue


def with_channel_marks(cues: Iterable[Cue]) -> Iterator[Cue]:
    """Put "[Channel 2]" before the text where it is of another channel than the one before."""
    channel: int | None = None
    for cue in cues:
        if isinstance(cue, Segment) and cue.text and cue.channel != channel:
            channel = cue.channel
            if channel is not None:
                yield replace(cue, text=f"[Channel {channel}] {cue.text}")
                continue
        yield cue
