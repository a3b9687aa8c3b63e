"""Units of text: where lines may break, and when each unit is spoken."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt.domain.transcript import Segment, Word
from stt.transcripts.cues import one_line
from stt.transcripts.timed_text import (
    Unit,
    cell_width,
    is_orphan,
    plausible_seconds,
    text_of,
    timed_units,
    width_of,
)

TIMES = st.floats() | st.floats(0, 20)
TEXTS = st.text(st.sampled_from("ab, .!7日本。กำé\u0301\u200b\n\x00"), max_size=30) | st.text()
WORDS = st.lists(st.builds(Word, TIMES, TIMES, TEXTS), max_size=6).map(tuple)


def units_of(text: str, *words: tuple[float, float, str], end: float = 10.0) -> list[Unit]:
    timed = tuple(Word(*word) for word in words)
    return timed_units(Segment(0.0, end, text, words=timed))


def times_of(text: str, *words: tuple[float, float, str], end: float = 10.0) -> dict[str, object]:
    return {
        unit.text: (unit.start / 1000, unit.end / 1000) for unit in units_of(text, *words, end=end)
    }


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("one two-three", ["one", "two-three"]),
        ("漢字、かな。", ["漢", "字、", "か", "な。"]),
        ("「キャッチ」ー", ["「キャッ", "チ」ー"]),
        ("ABCと12%だ", ["ABC", "と", "12%", "だ"]),
        ("เด็กไป", ["เด็", "ก", "ไป"]),
        ("« Vraiment ? » dit\xa0: non !", ["« Vraiment ? »", "dit :", "non !"]),
        ("( 漢字 ！ )", ["( 漢", "字 ！ )"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("שלום לכם", ["שלום", "לכם"]),
    ],
)
def test_lines_break_at_blanks_and_between_letters_of_scripts_without_blanks(
    text: str, pieces: list[str]
) -> None:
    assert [unit.text for unit in units_of(text)] == pieces


def test_wide_letters_take_two_cells_and_marks_none() -> None:
    assert [unit.width for unit in units_of("é e\u0301 漢 กำ")] == [1, 1, 2, 2]
    assert [cell_width(text) for text in ("", "a b", "ﾃｽﾄ", "한국", "กี่")] == [0, 3, 3, 4, 1]


class TestTimes:
    def test_text_without_words_is_spread_by_characters(self) -> None:
        assert times_of("aaaa bbbb", end=2.7) == {"aaaa": (0, 1.2), "bbbb": (1.5, 2.7)}

    def test_words_have_their_own_times_and_punctuation_belongs_to_the_word_before(self) -> None:
        found = times_of("Oh, yes.", (1, 1.4, "Oh"), (2, 2.3, "yes"), end=3)
        assert found == {"Oh,": (1, 1.4), "yes.": (2, 2.3)}

    def test_words_that_were_not_found_lie_between_their_neighbours(self) -> None:
        words = ((1.0, 2.0, "costs"), (2.0, 3.0, "five"), (3.0, 3.5, "now"))
        costs, dollars, now = units_of("costs $5 now", *words)
        assert (costs.end, now.start) == (2_000, 3_000)
        assert 2_000 <= dollars.start < dollars.end <= 3_000

    def test_a_last_word_that_was_stretched_over_a_pause_ends_with_its_speech(self) -> None:
        found = times_of("for them.", (5.4, 5.6, " for"), (5.6, 16.2, " them."), end=16.2)
        assert found["them."] == (5.6, 6.1)

    def test_a_first_word_that_was_stretched_over_a_pause_begins_with_its_speech(self) -> None:
        found = times_of("He left.", (6.2, 16.4, " He"), (16.4, 16.8, " left."), end=16.8)
        assert found["He"] == (16.05, 16.4)

    def test_numbers_may_take_longer_than_they_are_wide(self) -> None:
        assert times_of("in 1999.", (0, 0.2, " in"), (0.2, 2.0, " 1999."))["1999."] == (0.2, 2.0)
        assert plausible_seconds("1999", 0.5, 0.1) > plausible_seconds("year", 0.5, 0.1) + 1

    def test_a_segment_without_words_that_lasts_too_long_is_shortened(self) -> None:
        assert times_of("Bye.", end=30.0) == {"Bye.": (0, 3.48)}
        [kept] = timed_units(Segment(0.0, 30.0, "Bye."), shorten=False)
        assert kept.end == 30_000

    def test_words_outside_their_segment_do_not_count(self) -> None:
        assert times_of("a b", (50, 51, "a"), (51, 52, "b"), end=1.2) == {
            "a": (0, 0.4), "b": (0.8, 1.2),
        }  # fmt: skip

    @given(TIMES, TIMES, TEXTS, WORDS)
    def test_whatever_the_words_are_no_text_is_lost_and_times_never_go_backwards(
        self, start: float, end: float, text: str, words: tuple[Word, ...]
    ) -> None:
        units = timed_units(Segment(start, end, text, words=words))
        assert "".join(" " * u.space + u.text for u in units) == one_line(text)
        assert all(u.start <= u.end for u in units)
        assert all(one.end <= other.start for one, other in pairwise(units))


@pytest.mark.parametrize(
    ("text", "is_end"),
    [
        ("one. Two", True), ("one.” Two", True), ("one! Two", True), ("一。二", True),
        ("one. two", False), ("Dr. Two", False), ("3. Two", False), ("J. Two", False),
        ("« Un ! » Deux", True), ("Capt. Two", False), ("Sig. Due", False), ("Nr. 2", False),
        ("one, Two", False), ("one Two", False), ("वह। यह", True), ("نعم؟ لا", True),
    ],
)  # fmt: skip
def test_a_sentence_ends_with_its_mark_and_not_with_a_title_or_number(
    text: str, is_end: bool
) -> None:
    first, second = units_of(text)
    assert first.ends_sentence(second) == is_end


def test_a_clause_ends_with_a_comma_or_a_sentence() -> None:
    ends = [unit.ends_clause() for unit in units_of("one, two; three: four. Dr. 5 six")]
    assert ends == [True, True, True, True, False, False, False]


def test_units_make_a_line_again() -> None:
    units = units_of("  Sie gehen, 我们走吧。 ")
    assert text_of(units) == "Sie gehen, 我们走吧。"
    assert width_of(units) == cell_width(text_of(units)) == 21


@pytest.mark.parametrize(
    ("text", "expected"), [("Donaudampfschiff", True), ("he was.", True), ("for them.", False)]
)
def test_a_word_or_a_few_letters_are_an_orphan(text: str, expected: bool) -> None:
    assert is_orphan(units_of(text)) == expected
