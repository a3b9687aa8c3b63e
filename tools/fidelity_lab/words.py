"""The words of a text, alike however they are written: case, punctuation, numbers, accents."""

import re
from collections.abc import Callable
from functools import cache

from text_to_num import alpha2digit
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

_LANGUAGES_WITH_NUMBERS = ("en", "es", "fr", "it", "de", "pt", "nl")
"""Of which text2num reads numbers."""
_RUSSIAN_NUMBERS = {
    word: str(number)
    for words, number in (
        ("ноль нуль", 0), ("один одна одно", 1), ("два две", 2), ("три", 3), ("четыре", 4),
        ("пять", 5), ("шесть", 6), ("семь", 7), ("восемь", 8), ("девять", 9), ("десять", 10),
        ("одиннадцать", 11), ("двенадцать", 12), ("двадцать", 20), ("тридцать", 30),
        ("сорок", 40), ("пятьдесят", 50), ("сто", 100),
    )
    for word in words.split()
}  # fmt: skip


def words_of(text: str, language: str) -> list[str]:
    """The words in lower case, by Whisper's own normalizers; numbers as single digits.

    A number is written in digits, whichever way the text has it, and each digit is a word: so "one
    two", "1 2" and "12" are the same. Without accents, which the texts of some prompts lack.
    """
    text = _with_digits(text.lower().replace("’", "'"), language)
    text = re.sub(r"\d", r" \g<0> ", text)
    words = _normalizer(language == "en")(text).split()
    return [word for word in words if any(character.isalnum() for character in word)]


def _with_digits(text: str, language: str) -> str:
    if language == "ru":
        return re.sub(r"\w+", lambda word: _RUSSIAN_NUMBERS.get(word[0], word[0]), text)
    if language in _LANGUAGES_WITH_NUMBERS:
        digits: str = alpha2digit(text, language, threshold=0)
        return digits
    return text


@cache
def _normalizer(is_english: bool) -> Callable[[str], str]:
    if not is_english:
        basic: Callable[[str], str] = BasicTextNormalizer(remove_diacritics=True)
        return basic
    english = EnglishTextNormalizer()
    english.standardize_numbers = lambda text: text  # its own rules join "one two" to 12
    normalizer: Callable[[str], str] = english
    return normalizer
