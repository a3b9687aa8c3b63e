"""Cues are legal, whatever the text and the times are."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt.transcripts.cues import CueTimes, clock, milliseconds, one_line, srt_cue, vtt_cue

TEXT = st.text(st.sampled_from("ab \n\r\t\x00\x85\u2028<>&-"))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(1.2345, 1_234), (0.9996, 1_000), (-3, 0), (math.nan, 0), (math.inf, 0), (1e300, 10**12)],
)
def test_any_number_is_a_time(seconds: float, expected: int) -> None:
    assert milliseconds(seconds) == expected


def test_a_clock_has_hours_of_two_digits_or_more() -> None:
    assert clock(3_723_004, ".") == "01:02:03.004"
    assert clock(360_000_000, ",") == "100:00:00,000"
    assert clock(-1, ".") == "00:00:00.000"


@given(st.lists(st.tuples(st.floats(), st.floats())))
def test_cues_start_in_order_and_end_after_their_start(times: list[tuple[float, float]]) -> None:
    cue_times = CueTimes()
    placed = [cue_times.place(start, end) for start, end in times]
    assert all(start < end for start, end in placed)
    starts = [start for start, _ in placed]
    assert starts == sorted(starts)


def test_good_times_are_left_as_they_are() -> None:
    cue_times = CueTimes()
    assert cue_times.place(1.0, 2.5) == (1_000, 2_500)
    assert cue_times.place(2.0, 3.0) == (2_000, 3_000)


@given(TEXT)
def test_no_text_ends_its_cue_early_or_adds_an_arrow(text: str) -> None:
    for cue in (srt_cue(1, 0, 1_000, text), vtt_cue(0, 1_000, text)):
        assert cue.endswith("\n\n")
        body = cue.removesuffix("\n\n").partition(" --> ")[2]
        assert "-->" not in body
        assert "\n\n" not in body.replace("\r", "")


@given(TEXT)
def test_markup_of_webvtt_is_escaped(text: str) -> None:
    body = vtt_cue(0, 1_000, text).partition("\n")[2]
    assert "<" not in body
    assert ">" not in body
    assert re.sub(r"&(amp|lt|gt);", "", body).count("&") == 0


def test_one_line_has_no_breaks_and_no_control_characters() -> None:
    assert one_line(" a\x1b[2J\nb\t c\ufeff\x00 ") == "a[2J b c"
