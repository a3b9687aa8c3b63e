"""Cues are legal, whatever the text and the times are."""

import math
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt.transcripts.cues import (
    CueTimes,
    Subtitle,
    SubtitleTrack,
    clock,
    milliseconds,
    one_line,
    srt_cue,
    vtt_cue,
)

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


def placed(*times: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the times that subtitles with these times get on a track."""
    track = SubtitleTrack()
    added = [done for start, end in times for done in track.add(Subtitle(start, end, "word"))]
    return [(cue.start, cue.end) for cue in (*added, *track.flush())]


@given(st.lists(st.tuples(st.integers(0, 9_000), st.integers(0, 9_000))))
def test_subtitles_never_overlap_nor_last_no_time(times: list[tuple[int, int]]) -> None:
    cues = placed(*times)
    assert len(cues) == len(times)
    assert all(start < end for start, end in cues)
    assert all(end <= following for (_, end), (following, _) in pairwise(cues))


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([(0, 2_000), (2_000, 3_000)], [(0, 2_000), (2_000, 3_000)]),
        ([(0, 300), (2_000, 3_000)], [(0, 833), (2_000, 3_000)]),
        ([(0, 300), (500, 2_000)], [(0, 500), (500, 2_000)]),
        ([(0, 3_000), (2_000, 4_000)], [(0, 2_000), (2_000, 4_000)]),
        ([(0, 3_000), (200, 4_000)], [(0, 833), (833, 4_000)]),
        ([(5_000, 5_000), (4_000, 3_000)], [(5_000, 5_001), (5_001, 5_834)]),
    ],
    ids=["good", "short", "short before another", "overlapping", "one start", "backwards"],
)
def test_a_subtitle_is_moved_as_little_as_can_be(
    times: list[tuple[int, int]], expected: list[tuple[int, int]]
) -> None:
    assert placed(*times) == expected


def test_a_subtitle_that_another_speaker_interrupts_stays_until_it_can_be_read() -> None:
    track = SubtitleTrack()
    long, yes = Subtitle(5_000, 9_000, "x" * 60), Subtitle(6_000, 6_500, "Yes.")
    assert list(track.add(long)) == []
    assert list(track.add(yes)) == [Subtitle(5_000, 8_000, "x" * 60)]
    assert list(track.flush()) == [Subtitle(8_000, 8_833, "Yes.")]


def test_a_flushed_track_goes_on_after_its_last_subtitle() -> None:
    track = SubtitleTrack()
    assert list(track.add(Subtitle(0, 100, "one"))) == []
    assert list(track.flush()) == [Subtitle(0, 833, "one")]
    assert list(track.add(Subtitle(500, 2_000, "two"))) == []
    assert list(track.flush()) == [Subtitle(833, 2_000, "two")]


@given(TEXT)
def test_no_text_ends_its_cue_early_or_adds_an_arrow(text: str) -> None:
    for cue in (srt_cue(1, Subtitle(0, 1_000, text)), vtt_cue(Subtitle(0, 1_000, text))):
        assert cue.endswith("\n\n")
        body = cue.removesuffix("\n\n").partition(" --> ")[2]
        assert "-->" not in body
        assert "\n\n" not in body.replace("\r", "")


@given(TEXT)
def test_markup_of_webvtt_is_escaped(text: str) -> None:
    body = vtt_cue(Subtitle(0, 1_000, text)).partition("\n")[2]
    assert "<" not in body
    assert ">" not in body
    assert re.sub(r"&(amp|lt|gt);", "", body).count("&") == 0


def test_one_line_has_no_breaks_and_no_control_characters() -> None:
    assert one_line(" a\x1b[2J\nb\t c\ufeff\x00 ") == "a[2J b c"
