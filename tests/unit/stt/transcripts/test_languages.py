"""Codes and names of languages."""

import re

import pytest
from faster_whisper.tokenizer import _LANGUAGE_CODES

from stt.transcripts.languages import LANGUAGES, foreign_language, language_code
from tests.support.paths import ROOT


def test_the_list_is_that_of_the_engine() -> None:
    assert set(LANGUAGES) == set(_LANGUAGE_CODES)


def test_the_pages_offer_the_same_languages() -> None:
    script = (ROOT / "stt/coordinator/web/option_fields.js").read_text()
    [codes] = re.findall(r"CODES = \((.*?)\)\.split", script, re.DOTALL)
    assert "".join(re.findall(r'"([^"]*)"', codes)).split() == sorted(LANGUAGES)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("en", "en"), ("EN", "en"), (" de ", "de"), ("en-GB", "en"), ("pt_BR", "pt"),
        ("English", "en"), ("haitian creole", "ht"), ("Flemish", "nl"), ("yue", "yue"),
    ],
)  # fmt: skip
def test_codes_names_and_regions_are_understood(text: str, code: str) -> None:
    assert language_code(text) == code


@pytest.mark.parametrize("text", [None, "", "  ", "auto", "AUTO ", "null"])
def test_no_language_is_one_to_detect(text: str | None) -> None:
    assert language_code(text) is None


@pytest.mark.parametrize("text", ["klingon", "xx", "e", "-", "english-"])
def test_anything_else_is_no_language(text: str) -> None:
    with pytest.raises(ValueError, match="not a language code"):
        language_code(text)


@pytest.mark.parametrize(
    ("value", "language"), [("english", "en"), ("klingon", "klingon"), ("auto", None), (7, None)]
)
def test_what_another_program_names_is_a_code_where_it_is_known(
    value: object, language: str | None
) -> None:
    assert foreign_language(value) == language
