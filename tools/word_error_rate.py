"""Word error rate: how far a transcript is from what was said."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WordErrors:
    """Words that were inserted, left out or mistaken, and how many were said."""

    errors: int = 0
    words: int = 0

    @property
    def rate(self) -> float:
        """Errors by word; what was heard in silence counts as wholly wrong."""
        if self.words == 0:
            return 1.0 if self.errors else 0.0
        return self.errors / self.words

    def __add__(self, other: "WordErrors") -> "WordErrors":
        return WordErrors(self.errors + other.errors, self.words + other.words)


def word_errors(truth: str, heard: str) -> WordErrors:
    """Compares word by word, without case and punctuation (Levenshtein's distance)."""
    said, understood = _words(truth), _words(heard)
    row = list(range(len(understood) + 1))
    for i, word in enumerate(said, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(understood, start=1):
            best = min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
            diagonal, row[j] = row[j], best
    return WordErrors(row[-1], len(said))


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower())
