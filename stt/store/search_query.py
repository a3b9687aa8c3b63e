"""Parse a search query, and find it in the segments of a chunk.

This module alone decides what matches, and where. Words match whole words, however they are spelled
(`folding.py`); `word*` matches all words that begin with it. By its beginning matches also a word
in a script of agglutinating languages only, and anywhere a word in a script without spaces. Words
in quotes match one after the other.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from typing import Literal

from stt.errors import SttError
from stt.store.folding import APOSTROPHES, Span, fold, spelling_pattern

MAX_QUERY_CHARACTERS = 200
MAX_WORDS = 10
"""A phrase in quotes counts as one."""

_SPACES = re.compile(r"[\s\x00-\x1f\x7f\ud800-\udfff]+")
_QUOTES = re.compile('["“”„‟«»‹›＂「」『』〝〞〟]')
# The sign of Hebrew acronyms, which is typed as a quote.
_GERSHAYIM = re.compile('(?<=[\u05d0-\u05ea])["״”](?=[\u05d0-\u05ea])')

_NO_SPACES = (
    "CJK ", "IDEOGRAPHIC ", "HIRAGANA ", "KATAKANA", "BOPOMOFO ", "THAI ", "LAO ", "KHMER ",
    "MYANMAR ", "TIBETAN ",
)  # fmt: skip
_AGGLUTINATING = (
    "HANGUL ", "GEORGIAN ", "MONGOLIAN ", "TAMIL ", "TELUGU ", "KANNADA ", "MALAYALAM ",
)  # fmt: skip
# Marks that make another letter of the one before, where the two have no composed form.
_ACCENTS = frozenset(map(chr, (*range(0x300, 0x370), 0x3099, 0x309A)))


class BadQuery(SttError):
    """The query cannot be searched for."""


@dataclass(frozen=True, slots=True)
class QueryWord:
    """A word of a query, folded and as it was typed.

    `is_beginning`: it matches words that begin with it.
    """

    text: str
    is_beginning: bool
    typed: str = field(compare=False)

    @property
    def is_whole(self) -> bool:
        """Whether it matches only words between spaces or punctuation."""
        return not self.is_beginning and "anywhere" not in map(_matching, self.text)

    @property
    def pattern(self) -> str:
        """A regular expression that matches in every text that contains the word, in any case."""
        return spelling_pattern(self.text, is_beginning=self.is_beginning)


Phrase = tuple[QueryWord, ...]
"""Words that follow one another, or a single word."""


class SearchQuery:
    """A parsed query; `words` are those of the phrases too, as they were typed."""

    def __init__(self, query: str) -> None:
        """Parse `query`; raise BadQuery."""
        if len(query) > MAX_QUERY_CHARACTERS:
            raise BadQuery(
                f"That is too long to search for: at most {MAX_QUERY_CHARACTERS} characters."
            )
        phrases = list(_phrases(query))
        self.words = tuple(dict.fromkeys(word for phrase in phrases for word in phrase))
        if not self.words:
            raise BadQuery("There is no word in it to search for.")
        self._phrases = tuple(dict.fromkeys(map(_folded, phrases)))
        if len(self._phrases) > MAX_WORDS:
            raise BadQuery(
                f"These are too many words: at most {MAX_WORDS}, phrases in quotes as one."
            )

    @property
    def query_words(self) -> tuple[QueryWord, ...]:
        """The folded words of all phrases."""
        return tuple(dict.fromkeys(word for phrase in self._phrases for word in phrase))

    def matches(self, texts: Sequence[str]) -> dict[int, list[Span]]:
        """Return where the query is in texts that follow one another, by their indexes.

        Return nothing unless all words and phrases are there. A phrase may go on in the next text.
        """
        parts = [fold(text) for text in texts]
        joined = "\n".join(part.text for part in parts)
        starts = list(accumulate((len(part.text) + 1 for part in parts), initial=0))
        found: dict[int, list[Span]] = {}
        for phrase in self._phrases:
            spans = list(_spans(phrase, joined))
            if not spans:
                return {}
            for start, end in spans:
                for i in range(bisect_right(starts, start) - 1, bisect_right(starts, end - 1)):
                    part = _in_text(parts[i].text, (start, end), starts[i])
                    if part is not None:
                        found.setdefault(i, []).append(parts[i].source(part))
        return {i: _merged(found[i]) for i in sorted(found)}


def _phrases(query: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of each phrase; a quote that is not closed ends with the query."""
    text = _GERSHAYIM.sub("״", unicodedata.normalize("NFC", query))
    for number, piece in enumerate(_QUOTES.split(text)):
        words = tuple(word for word in map(_bare, _SPACES.split(piece)) if word)
        if number % 2 == 0:
            yield from ((word,) for word in words)
        elif words:
            yield words


def _bare(word: str) -> str:
    """Return a word without the punctuation around it, except a final `*`."""
    is_beginning = word.endswith("*")
    start, end = 0, len(word)
    while start < end and not _is_word_character(word[start]):
        start += 1
    while start < end and not _is_word_character(word[end - 1]):
        end -= 1
    return word[start:end] + ("*" if is_beginning and start < end else "")


def _folded(words: Sequence[str]) -> Phrase:
    """Fold words; of a phrase, only the last one matches by its beginning without a `*`."""
    phrase = []
    for number, word in enumerate(words, start=1):
        typed = word.removesuffix("*")
        text = fold(typed).text
        takes_endings = number == len(words) and _matching(text[-1]) == "by its beginning"
        phrase.append(QueryWord(text, word.endswith("*") or takes_endings, typed))
    return tuple(phrase)


def _spans(phrase: Phrase, text: str) -> Iterator[Span]:
    """Yield the spans of a phrase in a folded text."""
    start = text.find(phrase[0].text)
    while start >= 0:
        end = _end_of(phrase, text, start)
        if end is not None:
            yield start, end
        start = text.find(phrase[0].text, start + 1 if end is None else end)


def _end_of(phrase: Phrase, text: str, start: int) -> int | None:
    """Return where the phrase that begins at `start` ends, None if it is not there."""
    end = start
    for number, word in enumerate(phrase):
        if number:
            while _is_inside(text, end):  # the word before gave only its beginning
                end += 1
            while end < len(text) and not _is_word_character(text[end]):
                end += 1
        if not text.startswith(word.text, end) or _is_inside(text, end):
            return None
        end += len(word.text)
        if _is_inside(text, end) and (not word.is_beginning or text[end] in _ACCENTS):
            return None
    return end


def _is_inside(text: str, at: int) -> bool:
    """Return whether there is no border of words before `text[at]`.

    There is one also where the script changes: endings follow names in Latin letters in Korean.
    """
    if at in (0, len(text)) or not _is_word_character(text[at - 1]):
        return False
    if text[at] in _ACCENTS:
        return True
    kinds = {_matching(text[at - 1]), _matching(text[at])}
    return _is_word_character(text[at]) and len(kinds) == 1 and "anywhere" not in kinds


@cache
def _matching(character: str) -> Literal["whole", "by its beginning", "anywhere"]:
    """Return how words in the script of a character match."""
    name = unicodedata.name(character, "")
    if name.startswith(_NO_SPACES):
        return "anywhere"
    return "by its beginning" if name.startswith(_AGGLUTINATING) else "whole"


@cache
def _is_word_character(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNM" and character not in APOSTROPHES


def _in_text(text: str, span: Span, start: int) -> Span | None:
    """Return the part of a span in the text that begins at `start`, without outer punctuation."""
    first, end = max(span[0] - start, 0), min(span[1] - start, len(text))
    while first < end and not _is_word_character(text[first]):
        first += 1
    while first < end and not _is_word_character(text[end - 1]):
        end -= 1
    return (first, end) if first < end else None


def _merged(spans: list[Span]) -> list[Span]:
    """Sort spans, and join those that overlap or touch."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            start, end = merged[-1][0], max(merged.pop()[1], end)
        merged.append((start, end))
    return merged
