"""Where a speaker of a recording talks alone for a few seconds."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from stt.domain.field_types import ALWAYS_WRITTEN, Hundredths
from stt.store.export import Export, Line

ENOUGH_SECONDS = 4.0
MAX_SECONDS = 6.0
_PAUSE_SECONDS = 1.0
_PAGE = 500


@dataclass(frozen=True, slots=True)
class VoiceSample:
    """A stretch of a recording, in its seconds; `channel`: None where all were mixed.

    The annotations are for its JSON.
    """

    start: Hundredths
    end: Hundredths
    channel: int | None = None
    __pydantic_config__ = ALWAYS_WRITTEN

    @property
    def seconds(self) -> float:
        return self.end - self.start


def find_sample(export: Export, label: str) -> VoiceSample | None:
    """Return a stretch in which the speaker called so talks alone, and whose audio is kept.

    It is the first of ENOUGH_SECONDS, else the longest.
    """
    longest = VoiceSample(0.0, 0.0)
    for stretch in _stretches(export, label):
        if stretch.seconds > longest.seconds:
            longest = stretch
        if stretch.seconds >= ENOUGH_SECONDS:
            break
    end = min(longest.end, longest.start + MAX_SECONDS)
    return replace(longest, end=end) if longest.seconds > 0 else None


def _stretches(export: Export, label: str) -> Iterator[VoiceSample]:
    """Yield the stretches of a speaker, in order within each channel; some may last no time."""
    open_: dict[int | None, VoiceSample] = {}
    others_end: dict[int | None, float] = {}
    for line in _lines(export):
        before = open_.pop(line.channel, None)
        taken = others_end.get(line.channel, 0.0)
        if line.speaker != label:
            others_end[line.channel] = max(line.end, taken)
            if before:
                yield replace(before, end=min(before.end, line.start))
        elif before and 0 <= line.start - before.end < _PAUSE_SECONDS:
            open_[line.channel] = replace(before, end=line.end)
        else:
            if before:
                yield before
            open_[line.channel] = VoiceSample(max(line.start, taken), line.end, line.channel)
    yield from open_.values()


def _lines(export: Export) -> Iterator[Line]:
    """Yield the lines whose audio is kept."""
    heard = {span.id for span in export.spans if span.has_audio}
    index: int | None = 0
    while index is not None:
        part = export.lines(index, _PAGE)
        yield from (line for line in part.lines if line.chunk_id in heard)
        index = part.next_index
