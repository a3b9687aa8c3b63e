"""What counts as a word that is searched for, and where a text has it: pure functions.

Words are found whole and in any case; accents count. `word*` stands for all words that begin so.
In scripts that put no spaces between words, they are found anywhere.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence

from stt.errors import SttError

MAX_QUERY = 200
MAX_WORDS = 10

_BETWEEN = re.compile(r"[\s\"\x00-\x1f\x7f\ud800-\udfff]+")
_NO_SPACES = ("CJK ", "HIRAGANA ", "KATAKANA ", "THAI ", "LAO ", "KHMER ", "MYANMAR ", "TIBETAN ")


class BadQuery(SttError):
    """What was asked for cannot be searched."""


class SearchQuery:
    """What is searched for."""

    def __init__(self, query: str) -> None:
        """Raises BadQuery."""
        if len(query) > MAX_QUERY:
            raise BadQuery(f"That is too long to search for: at most {MAX_QUERY} characters.")
        self.words = tuple(dict.fromkeys(_words(query)))
        if not self.words:
            raise BadQuery("There is no word in it to search for.")
        if len(self.words) > MAX_WORDS:
            raise BadQuery(f"These are too many words: at most {MAX_WORDS}.")
        self._patterns = [_whole(word) for word in self.words]
        self.pattern = re.compile("|".join(p.pattern for p in self._patterns), re.IGNORECASE)
        """Matches every place that is a hit, for those who mark them."""

    @property
    def are_indexed(self) -> bool:
        """True if each is what a text index takes for a word."""
        return not any(word.endswith("*") or _has_no_spaces(word) for word in self.words)

    @property
    def stems(self) -> tuple[str, ...]:
        """What every text that has the words has somewhere, in any case."""
        return tuple(word.rstrip("*") for word in self.words)

    def segments_in(self, texts: Sequence[str]) -> list[int]:
        """Which of these have a word, if together they have all."""
        hits: set[int] = set()
        for pattern in self._patterns:
            having = [i for i, text in enumerate(texts) if pattern.search(text)]
            if not having:
                return []
            hits.update(having)
        return sorted(hits)


def _words(query: str) -> Iterator[str]:
    """What stands between spaces, without the signs around it; one at the end may be a `*`."""
    for piece in _BETWEEN.split(unicodedata.normalize("NFC", query)):
        word = piece
        while word and not _is_of_a_word(word[0]):
            word = word[1:]
        begins_many = word.endswith("*")
        while word and not _is_of_a_word(word[-1]):
            word = word[:-1]
        if word:
            yield word + ("*" if begins_many else "")


def _is_of_a_word(sign: str) -> bool:
    return unicodedata.category(sign)[0] in "LNM"


def _has_no_spaces(word: str) -> bool:
    return any(unicodedata.name(sign, "").startswith(_NO_SPACES) for sign in word)


def _whole(word: str) -> "re.Pattern[str]":
    stem = re.escape(word.rstrip("*"))
    if _has_no_spaces(word):
        return re.compile(stem, re.IGNORECASE)
    end = "" if word.endswith("*") else r"(?!\w)"
    return re.compile(rf"(?<!\w){stem}{end}", re.IGNORECASE)
