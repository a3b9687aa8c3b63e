"""Text cut into units that no line breaks, each with the time in which it is spoken. Pure."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from stt.transcripts.cues import milliseconds, one_line

# Scripts that put no blanks between words: Thai, Lao, Tibetan, Burmese, Khmer, Japanese, Chinese.
_SPACELESS = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u2e80-\u312f\u3190-\u4dbf\u4e00-\ua4cf"
    "\uf900-\ufaff\uff00-\uff9f\U00020000-\U0003ffff]"
)
# Closing and other punctuation, marks, joiners, and letters that modify the one before.
_NEVER_FIRST = {"Pe", "Pf", "Po", "Pd", "Mn", "Mc", "Me", "Cf", "Lm", "Sk"}
_NEVER_LAST = {"Ps", "Pi"}
_NO_WIDTH = {"Mn", "Me", "Cf"}
# French puts blanks before and after some marks.
_WORD = re.compile("(?:[«‹„“(\\[]+ )*\\S+(?: [!?;:»›”%…！？)\\]]+(?= |$))*")
# Small kana; vowels of Thai and Lao that are written behind or before their consonant.
_FOLLOWING = set("ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶะาำຽະາຳ")
_LEADING = set("เแโใไເແໂໃໄ\u200d\u2060")

# In square brackets stands who speaks, which ends no sentence: [?], [Ann Jr.].
_SENTENCE_MARK = re.compile(r"[.!?…。！？｡؟۔।॥።။។][ \"'”’»›)」』）】]*$")
_ENGLISH_I = re.compile(r"I(['’]\w+)?\W*$")
_CLAUSE_MARK = re.compile(r"[,;:–—、，；：､،؛၊፣][ \"'”’»›)\]」』）】]*$")
# Initials, numbers as in "3. März", titles.
_NO_END = re.compile(
    r"(?i)\W*(\w|\d\d|\w\.\w|mrs?|ms|dr|prof|st|rev|gen|col|capt|lt|sgt|sen|gov|mt|vol|approx|vs"
    r"|hr|fr|nr|ca|bzw|mme|mlle|mgr|sra?|uds?|av|sig|dott)\.$"
)

# A word of a text is looked for so many characters after the one before at most.
_MAX_SKIPPED = 20
_CELLS_OF_A_DIGIT = 5
ORPHAN_CELLS = 8
"""A text of less is too short to stand alone."""


class TimedWord(Protocol):
    """A word; `start` and `end` in seconds."""

    @property
    def start(self) -> float: ...
    @property
    def end(self) -> float: ...
    @property
    def word(self) -> str: ...


class TimedText(Protocol):
    """A segment with its words, if there are any; `start` and `end` in seconds."""

    @property
    def start(self) -> float: ...
    @property
    def end(self) -> float: ...
    @property
    def text(self) -> str: ...
    @property
    def words(self) -> Sequence[TimedWord]: ...


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of text that no line breaks; `start` and `end` in milliseconds, `width` in cells.

    `space`: how many blanks are before it, 0 or 1. `begins_segment`: it is the first of a segment
    that was joined to the one before.
    """

    text: str
    space: int
    width: int
    start: int
    end: int
    begins_segment: bool = False

    @property
    def is_capital(self) -> bool:
        """Whether it looks like a sentence's beginning: no small letter, and not the word I."""
        first = self.text[0]
        return not first.isalpha() or (first.isupper() and not _ENGLISH_I.match(self.text))

    @property
    def is_spaceless(self) -> bool:
        """Whether it is of a script without blanks between words."""
        return bool(_SPACELESS.search(self.text))

    def ends_sentence(self, following: "Unit") -> bool:
        return self._has_full_stop() and not following.text[0].islower()

    def ends_clause(self) -> bool:
        return bool(_CLAUSE_MARK.search(self.text)) or self._has_full_stop()

    def _has_full_stop(self) -> bool:
        return bool(_SENTENCE_MARK.search(self.text)) and not _NO_END.match(self.text)


@dataclass(frozen=True, slots=True)
class _Span:
    """The characters from `first` to before `behind`; `start` and `end` in seconds."""

    first: int
    behind: int
    start: float
    end: float

    def milliseconds_at(self, character: int) -> int:
        share = (character - self.first) / (self.behind - self.first)
        return milliseconds(self.start + (self.end - self.start) * share)


def timed_units(segment: TimedText, *, shorten: bool = True) -> list[Unit]:
    """Return the units of a segment's text, in order, with times that never go backwards.

    Times are those of the words. Text without words is spread over the time between, by characters.
    A word that takes longer than it can be spoken was stretched over a pause, and is shortened;
    so is a segment without words, if `shorten`.
    """
    text = one_line(segment.text)
    spans = _spans(segment, text, shorten=shorten)
    units, at = [], 0
    for first, behind in _unbroken(text):
        while spans[at].behind <= first:
            at += 1
        start = spans[at].milliseconds_at(first)
        while spans[at].behind < behind:
            at += 1
        piece, space = text[first:behind], int(text[first - 1 : first] == " ")
        units.append(
            Unit(piece, space, cell_width(piece), start, spans[at].milliseconds_at(behind))
        )
    return units


def cell_width(text: str) -> int:
    """Return how many cells a text takes where all letters are equally wide, as in a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
        if unicodedata.category(character) not in _NO_WIDTH
    )


def width_of(units: Sequence[Unit]) -> int:
    """Return how many cells the units take on one line."""
    return sum(unit.space + unit.width for unit in units) - units[0].space


def text_of(units: Sequence[Unit]) -> str:
    """Return the text of the units on one line."""
    return "".join(" " * unit.space + unit.text for unit in units).lstrip(" ")


def is_orphan(units: Sequence[Unit]) -> bool:
    """Return whether a text is too short to stand alone."""
    return len(units) == 1 or width_of(units) < ORPHAN_CELLS


def plausible_seconds(text: str, base: float, per_cell: float) -> float:
    """Return the longest time that speaking `text` takes; a digit is a word of its own."""
    digits = sum(map(str.isdigit, text))
    return base + per_cell * (cell_width(text) + digits * (_CELLS_OF_A_DIGIT - 1))


def _unbroken(text: str) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each piece that no line breaks: a word, or less in some scripts."""
    for match in _WORD.finditer(text):
        first, behind = match.span()
        if _SPACELESS.search(match[0]):
            for at in range(first + 1, behind):
                if _may_break(text[at - 1], text[at]):
                    yield first, at
                    first = at
        yield first, behind


def _may_break(before: str, after: str) -> bool:
    return (
        bool(_SPACELESS.match(before) or _SPACELESS.match(after))
        and " " not in (before, after)
        and unicodedata.category(after) not in _NEVER_FIRST
        and unicodedata.category(before) not in _NEVER_LAST
        and after not in _FOLLOWING
        and before not in _LEADING
    )


def _spans(segment: TimedText, text: str, *, shorten: bool) -> list[_Span]:
    """Return spans that cover the text: its words, and what is between them."""
    start, end = _seconds(segment.start), _seconds(segment.end)
    words = list(_words_in_text(segment, text))
    if not words:
        longest = plausible_seconds(text, 3.0, 0.12) if shorten else end
        return [_Span(0, len(text), start, max(start, min(end, start + longest)))]
    spans: list[_Span] = []
    first, last_end = 0, min(start, words[0].start)
    for word in [*words, _Span(len(text), len(text), max(end, words[-1].end), 0.0)]:
        if between := text[first : word.first]:
            begin, until = last_end, max(last_end, word.start)
            if any(map(str.isalnum, between)):
                until = min(until, begin + plausible_seconds(between, 0.5, 0.1))
            elif spans:
                until = begin
            else:
                begin = until
            spans.append(_Span(first, word.first, begin, until))
        if word.behind > word.first:
            spans.append(word)
        first, last_end = word.behind, max(last_end, word.end)
    return spans


def _words_in_text(segment: TimedText, text: str) -> Iterator[_Span]:
    """Yield the words that are found in the text, in order, within the segment and shortened."""
    low, high = _seconds(segment.start), _seconds(segment.end)
    if high <= low:
        low, high = 0.0, float("inf")
    found, is_first, latest = 0, True, low
    for word in segment.words:
        plain = one_line(word.word)
        start, end = _seconds(word.start), _seconds(word.end)
        at = text.find(plain, found, found + len(plain) + _MAX_SKIPPED)
        if not plain or at < 0 or start > high or end < low:
            continue
        start = max(start, latest)
        end = max(min(end, high), start)
        longest = plausible_seconds(plain, 0.5, 0.1)
        if end - start > longest:  # then it has its usual length
            begins = is_first or bool(_SENTENCE_MARK.search(text[:at].rstrip()))
            if begins and not _SENTENCE_MARK.search(plain):
                start = end - longest / 2
            else:
                end = start + longest / 2
        found, is_first, latest = at + len(plain), False, end
        yield _Span(at, found, start, end)


def _seconds(time: float) -> float:
    return milliseconds(time) / 1000
