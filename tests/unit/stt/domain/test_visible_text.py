"""What does not show in a name, or disguises what does."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt.domain.visible_text import is_visible, quoted, visible, without_controls

HIDDEN = [
    "\x00", "\t", "\n", "\x1b", "\x7f", "\x85", "\x9b", "\u00ad", "\u034f", "\u061c", "\u180e",
    "\u200b", "\u200e", "\u200f", *map(chr, range(0x2028, 0x202F)), "\u2060", "\u2063",
    *map(chr, range(0x2066, 0x2070)), "\u3164", "\uffa0", "\ufeff", "\ufff9", "\ud800",
    "\U000e0041",
]  # fmt: skip
READABLE = [
    "talk.mp3", "Grüße & co.wav", "会議 1.m4a", "ראיון עם דנה.mp3", "مقابلة 1.mp3",
    "می\u200cخواهم.ogg", "क्\u200dष.ogg", "\N{MAN}\u200d\N{PERSONAL COMPUTER}.mp3",
    "\N{WOMAN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}\u200d\N{MICROPHONE}.mp3",
    "❤\ufe0f.mp3", "1\u00a02",
]  # fmt: skip


@pytest.mark.parametrize("character", HIDDEN, ids=lambda c: f"U+{ord(c):04X}")
def test_what_does_not_show_is_replaced(character: str) -> None:
    assert visible(f"a{character}b") == "a\ufffdb"
    assert visible(f"{character}ا{character}", "_") == "_ا_"
    assert not is_visible(character)


@pytest.mark.parametrize("joiner", ["\u200c", "\u200d"])
@pytest.mark.parametrize("before", ["", "a", "é", "я", "1", " ", "\u200d"])
def test_a_joiner_without_anything_to_join_is_replaced(joiner: str, before: str) -> None:
    assert visible(f"{before}{joiner}b", "_") == visible(before, "_") + "_b"


@pytest.mark.parametrize("name", READABLE)
def test_names_in_every_script_stay_as_they_are(name: str) -> None:
    assert visible(name) == name
    assert is_visible(name)


@given(st.text(st.characters(), max_size=30))
def test_what_is_left_has_no_format_characters_but_joiners(text: str) -> None:
    shown = visible(text)
    assert len(shown) == len(text)
    assert visible(shown) == shown
    left = {c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")}
    assert not left
    assert not {c for c in shown if unicodedata.bidirectional(c) in BIDI_CONTROLS}


BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def test_controls_alone_are_replaced_where_a_name_is_stored() -> None:
    assert without_controls("a\nb\x9b\u202ec\u2028") == "a\ufffdb\ufffd\u202ec\ufffd"


def test_a_wrong_value_is_quoted_whole_up_to_100_characters() -> None:
    assert quoted("a" * 100) == f"'{'a' * 100}'"
    assert quoted("a" * 101) == f"'{'a' * 99}…'"
    assert quoted("a\nb") == r"'a\nb'"
