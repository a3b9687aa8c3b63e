"""Fold text, and find its spellings."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt.store.folding import fold, spelling_pattern


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Straße", "strasse"),
        ("aujourd’hui", "aujourd'hui"),
        ("nai\u0308ve", "naïve"),
        ("ＡＢＣ－１", "abc-1"),
        ("ｶﾞ", "ガ"),
        ("coﬀee", "coffee"),
        ("İIıi", "iiii"),
        ("I\u0307", "i"),
        ("", ""),
        ("a`b", "a'b"),
    ],
)
def test_spellings_become_equal(text: str, folded: str) -> None:
    assert fold(text).text == folded


@given(st.text(max_size=40))
def test_each_character_has_its_place_in_the_source(text: str) -> None:
    folded = fold(text)
    assert len(folded.text) == len(folded.starts) == len(folded.ends)
    assert list(folded.starts) == sorted(folded.starts)
    if folded.text:
        assert folded.source((0, len(folded.text))) == (0, len(text))


def test_the_place_of_a_part_is_that_of_whole_letters() -> None:
    folded = fold("die Straße am Cafe\u0301")
    assert folded.source((folded.text.index("ss"), folded.text.index("ss") + 1)) == (8, 9)
    assert folded.source((len(folded.text) - 1, len(folded.text))) == (17, 19)


@pytest.mark.parametrize("normal_form", ["NFC", "NFD"])
@pytest.mark.parametrize(
    "spelling", ["Straße", "STRASSE", "coﬀee oﬃce", "Übung", "aujourdʼhui", "İstanbul", "ｶﾞｲﾄﾞ"]
)
def test_the_pattern_of_a_word_finds_its_spellings(spelling: str, normal_form: str) -> None:
    pattern = spelling_pattern(fold(spelling).text)
    text = unicodedata.normalize("NFC" if normal_form == "NFC" else "NFD", spelling)
    assert re.search(pattern, text, re.IGNORECASE)


def test_the_pattern_of_a_long_word_stays_short() -> None:
    assert len(spelling_pattern("s" * 200)) < 10_000
