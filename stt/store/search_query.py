"""Parse a search query into words, and find them in texts.

Words match whole words in any case; accents count. `word*` matches all words that begin with it.
Words in scripts without spaces between words match anywhere.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence

from stt.errors import SttError

MAX_QUERY_CHARACTERS = 200
MAX_WORDS = 10

_SEPARATORS = re.compile(r"[\s\"\x00-\x1f\x7f\ud800-\udfff]+")
_NO_SPACES = ("CJK ", "HIRAGANA ", "KATAKANA ", "THAI ", "LAO ", "KHMER ", "MYANMAR ", "TIBETAN ")


class BadQuery(SttError):
    """The query cannot be searched for."""


class SearchQuery:
    """The words of a query."""

    def __init__(self, query: str) -> None:
        """Parse `query`; raise BadQuery."""
        if len(query) > MAX_QUERY_CHARACTERS:
            raise BadQuery(
                f"That is too long to search for: at most {MAX_QUERY_CHARACTERS} characters."
            )
        self.words = tuple(dict.fromkeys(_words(query)))
        if not self.words:
            raise BadQuery("There is no word in it to search for.")
        if len(self.words) > MAX_WORDS:
            raise BadQuery(f"These are too many words: at most {MAX_WORDS}.")
        self._patterns = [_word_pattern(word) for word in self.words]
        self.pattern = re.compile("|".join(p.pattern for p in self._patterns), re.IGNORECASE)
        """Matches every word in a text, to highlight them."""

    @property
    def are_indexed(self) -> bool:
        """Whether a text index has each of the words as one word."""
        return not any(word.endswith("*") or _has_no_spaces(word) for word in self.words)

    @property
    def stems(self) -> tuple[str, ...]:
        """The words without `*`; a text that matches contains all of them in some case."""
        return tuple(word.rstrip("*") for word in self.words)

    def segments_in(self, texts: Sequence[str]) -> list[int]:
        """Return the indexes of the texts with a word, if together they have all words."""
        hits: set[int] = set()
        for pattern in self._patterns:
            having = [i for i, text in enumerate(texts) if pattern.search(text)]
            if not having:
                return []
            hits.update(having)
        return sorted(hits)


def _words(query: str) -> Iterator[str]:
    """Yield what is between spaces, without punctuation around it except a final `*`."""
    for piece in _SEPARATORS.split(unicodedata.normalize("NFC", query)):
        word = piece
        while word and not _is_word_character(word[0]):
            word = word[1:]
        is_prefix = word.endswith("*")
        while word and not _is_word_character(word[-1]):
            word = word[:-1]
        if word:
            yield word + ("*" if is_prefix else "")


def _is_word_character(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNM"


def _has_no_spaces(word: str) -> bool:
    return any(unicodedata.name(character, "").startswith(_NO_SPACES) for character in word)


def _word_pattern(word: str) -> "re.Pattern[str]":
    stem = re.escape(word.rstrip("*"))
    if _has_no_spaces(word):
        return re.compile(stem, re.IGNORECASE)
    end = "" if word.endswith("*") else r"(?!\w)"
    return re.compile(rf"(?<!\w){stem}{end}", re.IGNORECASE)
