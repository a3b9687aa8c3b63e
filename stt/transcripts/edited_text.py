"""Times of words for a text that a person has changed. Pure."""

from dataclasses import replace
from difflib import SequenceMatcher

from stt.domain.transcript import Segment, Word
from stt.transcripts.cues import one_line
from stt.transcripts.timed_text import timed_units


def with_text(segment: Segment, text: str) -> Segment:
    """Return the segment with another text, and words if it has any.

    Words that are in both texts keep their times; the others share the time between them.
    """
    text = one_line(text)
    if not segment.words:
        return replace(segment, text=text)
    units = timed_units(replace(segment, text=text, words=()))
    before = [one_line(word.word) for word in segment.words]
    kept: dict[int, Word] = {}
    for block in SequenceMatcher(None, before, [u.text for u in units]).get_matching_blocks():
        kept |= {block.b + i: segment.words[block.a + i] for i in range(block.size)}
    known = tuple(kept[number] for number in sorted(kept))
    timed = timed_units(replace(segment, text=text, words=known))
    words = (
        kept.get(number) or Word(unit.start / 1000, unit.end / 1000, " " * unit.space + unit.text)
        for number, unit in enumerate(timed)
    )
    return replace(segment, text=text, words=tuple(words))
