"""Fold text, so that the spellings that search takes for the same word become equal.

Alike are: capital and small letters (ß and ss too), composed and decomposed letters, full-width and
half-width forms, ligatures, the signs that are typed as an apostrophe or a hyphen, and the dotted
and the dotless i. Accents count.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

Span = tuple[int, int]
"""The indexes of the first character of a piece of text and of the first one after it."""

APOSTROPHES = "'’‘‛ʼʻʹ´`′＇՚ꞌ׳"
_HYPHENS = "-‐‑‒–−﹣－"

# Latin, Armenian and Hebrew ligatures; full-width and half-width forms.
_COMPATIBLE = (*range(0xFB00, 0xFB50), *range(0xFF01, 0xFFA0))
_ALIKE = {
    **{code: unicodedata.normalize("NFKC", chr(code)) for code in _COMPATIBLE},
    **{ord(sign): "'" for sign in APOSTROPHES},
    **{ord(sign): "-" for sign in _HYPHENS},
    ord("ı"): "i",
    ord("İ"): "i",
    ord("״"): '"',
}
_DOTTED_I = "i\N{COMBINING DOT ABOVE}"  # a decomposed "İ" in small letters
_MAX_RUN = 4
"""Of more letters in a row that may be ligatures `spelling_pattern` does not keep the order."""


@dataclass(frozen=True, slots=True)
class Folded:
    """A folded text; each character comes from `starts` to `ends` of the source."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]

    def source(self, span: Span) -> Span:
        """Return the place in the source of a span, not empty, of the folded text."""
        return self.starts[span[0]], self.ends[span[1] - 1]


def fold(text: str) -> Folded:
    """Fold a text."""
    if text.isascii():
        return Folded(text.lower().replace("`", "'"), range(len(text)), range(1, len(text) + 1))
    pieces: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for start, end in _letters(text):
        pieces.append(_fold_letter(text[start:end]))
        starts += [start] * len(pieces[-1])
        ends += [end] * len(pieces[-1])
    return Folded("".join(pieces), starts, ends)


def spelling_pattern(word: str, *, is_beginning: bool = False) -> str:
    """Return a pattern that finds the spellings of a folded word, and perhaps more; ignore case.

    `is_beginning`: the word may go on.
    """
    ligatures = _spellings_of_several()
    pattern, at = "", 0
    while at < len(word):
        end = at + 1
        while end < len(word) and any(word.startswith(s, end - 1) for s in ligatures):
            end += 1
        letters, at = word[at:end], end
        if len(letters) <= _MAX_RUN:
            pattern += _any_of(_ways_to_spell(letters, is_open=is_beginning and end == len(word)))
        else:
            parts = [p for s, found in ligatures.items() if s in letters for p in found]
            pattern += _any_of([*map(_letter_pattern, letters), *parts]) + "+"
    return pattern


def _ways_to_spell(letters: str, *, is_open: bool) -> Iterator[str]:
    """Yield patterns for each way to divide letters into ligatures and single ones.

    `is_open`: the last ligature may have more letters.
    """
    if not letters:
        yield ""
        return
    for rest in _ways_to_spell(letters[1:], is_open=is_open):
        yield _letter_pattern(letters[0]) + rest
    for several, spellings in _spellings_of_several().items():
        if letters.startswith(several):
            for rest in _ways_to_spell(letters[len(several) :], is_open=is_open):
                yield _any_of(spellings) + rest
        elif is_open and several.startswith(letters):
            yield _any_of(spellings)


def _any_of(patterns: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(patterns))
    return distinct[0] if len(distinct) == 1 else f"(?:{'|'.join(distinct)})"


@cache
def _letter_pattern(letter: str) -> str:
    marks = unicodedata.normalize("NFD", letter)
    composed = map(re.escape, [letter, *_other_spellings().get(letter, ())])
    decomposed = [] if marks == letter else ["".join(map(_letter_pattern, marks))]
    return _any_of([*composed, *decomposed])


@cache
def _spellings_of_several() -> dict[str, list[str]]:
    """Return the ligatures and the like by the letters that they are folded to."""
    return {folded: other for folded, other in _other_spellings().items() if len(folded) > 1}


@cache
def _other_spellings() -> dict[str, list[str]]:
    """Return characters by what they are folded to, but for the plain small and capital letters."""
    found: dict[str, list[str]] = {"i": [_DOTTED_I]}
    for code in range(0x10000):
        character = chr(code)
        if code in _ALIKE or character.casefold() != character.lower():
            found.setdefault(_fold_letter(character), []).append(character)
    return found


@cache
def _fold_letter(letter: str) -> str:
    alike = unicodedata.normalize("NFC", letter).translate(_ALIKE).casefold()
    return unicodedata.normalize("NFC", alike).replace(_DOTTED_I, "i")


def _letters(text: str) -> Iterator[Span]:
    """Yield the spans of the letters of a text, each with the marks that belong to it."""
    start = 0
    for at in range(1, len(text)):
        if not _is_mark(text[at]):
            yield start, at
            start = at
    if text:
        yield start, len(text)


@cache
def _is_mark(character: str) -> bool:
    """Return whether a character belongs to the letter before it."""
    is_jamo = "\u1160" <= character <= "\u11ff"  # vowels and finals of a decomposed Hangul syllable
    return unicodedata.category(character)[0] == "M" or is_jamo or character in "ﾞﾟ"
