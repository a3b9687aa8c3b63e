"""Subtitles of whole files: segments within a sentence belong together, and nothing is lost."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stt.domain.transcript import Segment, Word
from stt.transcripts.cue_splitting import DEFAULT_LIMITS, NO_LIMITS, CueLimits
from stt.transcripts.cues import Subtitle, one_line
from stt.transcripts.subtitles import Subtitles
from tests.support.spoken_segments import CUE_LIMITS, spoken_segments


def cues_of(*segments: Segment, limits: CueLimits = DEFAULT_LIMITS) -> list[Subtitle]:
    subtitles = Subtitles(limits)
    final = [cue for segment in segments for cue in subtitles.add(segment)]
    return [*final, *subtitles.flush()]


def texts_of(*segments: Segment, limits: CueLimits = DEFAULT_LIMITS) -> list[str]:
    return [cue.text for cue in cues_of(*segments, limits=limits)]


WOMAN = Segment(
    16.8, 21.5,
    "Had he married a more amiable woman, he might have been made still more respectable than",
)  # fmt: skip
WAS = Segment(21.5, 22.2, "he was.")


class TestSegmentsWithinASentence:
    def test_the_rest_of_a_sentence_is_no_cue_of_its_own(self) -> None:
        assert texts_of(WOMAN, WAS) == [
            "Had he married a more amiable woman,",
            "he might have been made still\nmore respectable than he was.",
        ]

    def test_without_limits_each_segment_is_a_cue(self) -> None:
        assert texts_of(WOMAN, WAS, limits=NO_LIMITS) == [WOMAN.text, WAS.text]

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (Segment(0, 2, "One sentence."), Segment(2, 4, "Two sentences.")),
            (Segment(0, 2, "one part of it"), Segment(2.5, 4, "after a pause")),
            (Segment(0, 2, "one line of a song"), Segment(2, 4, "Another line of it")),
            (Segment(0, 2, "Well"), Segment(2, 4, "[Channel 2] yes")),
            (Segment(0, 2, "Well"), Segment(2, 4, "- Yes")),
            (Segment(0, 2, "one part of it"), Segment(1, 4, "at the same time")),
        ],
        ids=["sentences", "pause", "capital", "channel", "dash", "overlap"],
    )
    def test_what_does_not_belong_together_stays_apart(
        self, first: Segment, second: Segment
    ) -> None:
        assert texts_of(first, second) == [first.text, second.text]

    def test_a_single_word_joins_whatever_its_case(self) -> None:
        assert texts_of(Segment(0, 2, "Sie gehen in den"), Segment(2, 2.6, "Park.")) == [
            "Sie gehen in den Park."
        ]

    def test_chinese_is_joined_without_a_blank(self) -> None:
        assert texts_of(Segment(0, 2, "我们明天在"), Segment(2, 3, "车站见面。")) == [
            "我们明天在车站见面。"
        ]

    def test_speech_without_any_mark_is_joined_for_half_a_minute_at_most(self) -> None:
        endless = [Segment(2 * at, 2 * at + 2, "and so it goes on") for at in range(60)]
        subtitles = Subtitles(DEFAULT_LIMITS)
        waiting = 0.0
        for segment in endless:
            for cue in subtitles.add(segment):
                waiting = max(waiting, segment.start - cue.end / 1000)
        assert waiting < 40


class TestLines:
    def test_line_breaks_of_a_text_that_fits_are_kept(self) -> None:
        assert texts_of(Segment(0, 3, "- How are you?\n\n- Fine.")) == ["- How are you?\n- Fine."]
        assert texts_of(Segment(0, 3, "one\ntwo\nthree")) == ["one two three"]

    def test_a_segment_without_text_has_no_cue(self) -> None:
        assert cues_of(Segment(0, 3, " \n\x00")) == []


class TestTimes:
    def test_a_cue_that_is_not_split_comes_in_its_place(self) -> None:
        subtitles = Subtitles(DEFAULT_LIMITS)
        final = list(subtitles.add(Segment(0, 2, "one")))
        final += subtitles.add_cue(Subtitle(2_000, 90_000, "[not transcribed]"))
        final += subtitles.flush()
        assert [(cue.start, cue.end) for cue in final] == [(0, 2_000), (2_000, 90_000)]

    def test_a_short_cue_is_prolonged_but_not_past_its_limit(self) -> None:
        short = Segment(1, 1.1, "Oh.")
        assert cues_of(short) == [Subtitle(1_000, 1_833, "Oh.")]
        limits = CueLimits(max_cue_seconds=0.5)
        assert cues_of(short, limits=limits) == [Subtitle(1_000, 1_500, "Oh.")]

    def test_words_that_were_stretched_over_a_pause_do_not_stretch_the_cue(self) -> None:
        words = (Word(15.9, 24.1, " We"), Word(24.1, 24.3, " had"), Word(24.3, 34.8, " time."))
        segment = Segment(15.9, 34.8, "We had time.", words=words)
        assert cues_of(segment) == [Subtitle(23_750, 24_800, "We had time.")]


@settings(deadline=None, max_examples=200)
@given(st.lists(spoken_segments(), max_size=4), CUE_LIMITS, st.booleans())
def test_no_word_is_lost_and_cues_follow_one_another(
    segments: list[Segment], limits: CueLimits, one_after_another: bool
) -> None:
    if one_after_another:
        ends = [0.0]
        for one in segments:
            ends.append(ends[-1] + one.end - one.start)
        segments = [
            replace(one.shifted(at - one.start), end=at + one.end - one.start)
            for one, at in zip(segments, ends, strict=False)
        ]
    cues = cues_of(*segments, limits=limits)
    assert "".join("".join(cue.text.split()) for cue in cues) == "".join(
        "".join(one_line(one.text).split()) for one in segments
    )
    assert all(cue.start < cue.end for cue in cues)
    assert all(one.end <= other.start for one, other in pairwise(cues))
    if limits.max_lines and limits.max_line_width:
        assert all(cue.text.count("\n") < limits.max_lines for cue in cues)
