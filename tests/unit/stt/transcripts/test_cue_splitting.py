"""Cues that can be read, and in which no word is lost, whatever the text and the times are."""

from hypothesis import given, settings

from stt.domain.transcript import Segment, Word
from stt.transcripts.cue_splitting import (
    DEFAULT_LIMITS,
    NO_LIMITS,
    CueLimits,
    are_lines_within,
    fits,
    split,
)
from stt.transcripts.cues import Subtitle, one_line
from stt.transcripts.timed_text import cell_width, timed_units
from tests.support.spoken_segments import CUE_LIMITS, spoken_segments

STATION = (
    "We meet again at the station tomorrow, and then we go on together to the old town"
    " by the river."
)
DOCTOR = (
    "Yes. I think that we should go there now. It is late, and Dr. Smith said that he would not"
    " wait for us any longer than five. So let us go now!"
)


def cut(segment: Segment, limits: CueLimits) -> list[Subtitle]:
    return split(timed_units(segment, shorten=limits.max_cue_seconds > 0), limits)


def cues_of(
    text: str, seconds: float = 10.0, *words: tuple[float, float, str], **limits: float
) -> list[str]:
    timed = tuple(Word(*word) for word in words)
    segment = Segment(0.0, seconds, text, words=timed)
    return [cue.text for cue in cut(segment, CueLimits(**limits))]  # type: ignore[arg-type]


def spoken(*words: str, pause_before: str = "", pause: float = 0.0) -> Segment:
    """Return a segment in which each word takes 0.4 s, with a pause before one of them."""
    at, timed = 0.0, []
    for word in words:
        at += pause if word == pause_before else 0.0
        timed.append(Word(at, at + 0.4, f" {word}"))
        at += 0.4
    return Segment(0.0, at, " ".join(words), words=tuple(timed))


class TestWhereItSplits:
    def test_a_text_that_fits_is_one_cue_of_as_few_lines_as_hold_it(self) -> None:
        assert cues_of("The small blue boat sails.", 3) == ["The small blue boat sails."]
        assert cues_of("The small blue boat sails across the quiet lake.", 5) == [
            "The small blue boat sails\nacross the quiet lake."
        ]

    def test_sentences_come_before_clauses_and_titles_end_nothing(self) -> None:
        assert cues_of(DOCTOR, 12) == [
            "Yes. I think that we should go there now.\nIt is late,",
            "and Dr. Smith said that he would not\nwait for us any longer than five.",
            "So let us go now!",
        ]

    def test_clauses_come_before_other_places(self) -> None:
        assert cues_of(STATION) == [
            "We meet again at the station tomorrow,",
            "and then we go on together\nto the old town by the river.",
        ]

    def test_a_pause_comes_before_the_balanced_place(self) -> None:
        words = [f"{letter}1" for letter in "abcdefghijkl"]
        even = cut(spoken(*words), CueLimits(20, 1, 0))
        assert [cue.text for cue in even] == ["a1 b1 c1 d1 e1 f1", "g1 h1 i1 j1 k1 l1"]
        paused = cut(spoken(*words, pause_before="f1", pause=0.5), CueLimits(20, 1, 0))
        assert [cue.text for cue in paused] == ["a1 b1 c1 d1 e1", "f1 g1 h1 i1 j1 k1 l1"]

    def test_a_long_pause_always_ends_a_cue(self) -> None:
        cues = cut(
            spoken("Well,", "I", "think", "so.", pause_before="I", pause=2.0), DEFAULT_LIMITS
        )
        assert [(cue.start, cue.end, cue.text) for cue in cues] == [
            (0, 400, "Well,"), (2_400, 3_600, "I think so."),
        ]  # fmt: skip

    def test_no_word_is_left_alone(self) -> None:
        for count in range(10, 60):
            cues = cues_of(" ".join(["word"] * count), count * 0.4)
            assert all(len(line.split()) > 1 for cue in cues for line in cue.split("\n"))

    def test_a_cue_lasts_no_longer_than_its_limit(self) -> None:
        cues = cut(Segment(0.0, 20.0, STATION), DEFAULT_LIMITS)
        assert len(cues) == 3
        assert all(cue.end - cue.start <= 7_000 for cue in cues)

    def test_a_cue_ends_with_its_last_word(self) -> None:
        stretched = Segment(0, 16.3, "We had time.", words=(
            Word(5.0, 5.2, " We"), Word(5.2, 5.5, " had"), Word(5.5, 16.3, " time."),
        ))  # fmt: skip
        assert [(cue.start, cue.end) for cue in cut(stretched, DEFAULT_LIMITS)] == [(5_000, 6_000)]


class TestScripts:
    def test_chinese_counts_two_cells_a_sign_and_no_line_begins_with_a_full_stop(self) -> None:
        text = (
            "我们明天在车站见面，然后一起去河边的老城。"
            "天气很好，我们可以在公园里散步，晚上再回家吃饭。"
        )
        assert cues_of(text, 13) == [
            "我们明天在车站见面，然后一起去河边的老城。",
            "天气很好，我们可以在公园里散步，\n晚上再回家吃饭。",
        ]

    def test_thai_has_no_blanks_and_no_line_begins_with_a_mark(self) -> None:
        [cue] = cues_of("กำลังไปที่สถานีรถไฟพรุ่งนี้ตอนเช้าเพื่อไปพบเพื่อนเก่าที่ไม่ได้เจอกัน", 5)
        first, second = cue.split("\n")
        assert max(cell_width(first), cell_width(second)) <= 42
        assert cell_width(second[0]) == 1

    def test_right_to_left_text_is_left_as_it_is(self) -> None:
        text = "שלום לכולם, ברוכים הבאים לשידור של היום. היום נדבר על דברים חשובים מאוד."
        assert " ".join(cues_of(text, 6)).replace("\n", " ") == text


class TestLimits:
    def test_without_limits_a_segment_stays_whole(self) -> None:
        [cue] = cut(Segment(0.0, 60.0, DOCTOR), NO_LIMITS)
        assert (cue.start, cue.end, cue.text) == (0, 60_000, DOCTOR)

    def test_each_limit_can_be_switched_off_alone(self) -> None:
        assert [cue.count("\n") for cue in cues_of(DOCTOR, 5, max_lines=0)] == [3]
        assert cues_of(STATION, 5, max_line_width=0) == [STATION]
        assert len(cues_of(STATION, 20, max_cue_seconds=0)) == 2

    def test_a_word_wider_than_a_line_is_a_line_of_its_own(self) -> None:
        word = "Donaudampfschifffahrtsgesellschaftskapitänsmütze"
        assert cues_of(f"Die {word} ist blau.", 5) == [f"Die\n{word}", "ist blau."]

    def test_what_fits_is_known_before_it_is_split(self) -> None:
        units = timed_units(Segment(0.0, 5.0, STATION[:80]))
        assert fits(units, DEFAULT_LIMITS)
        assert not fits(units, CueLimits(max_lines=1))
        assert not fits(units, CueLimits(max_cue_seconds=3))
        assert are_lines_within(["a" * 42, "漢" * 21], DEFAULT_LIMITS)
        assert not are_lines_within(["漢" * 22], DEFAULT_LIMITS)
        assert not are_lines_within(["a", "b", "c"], DEFAULT_LIMITS)
        assert are_lines_within(["a" * 99, "b", "c"], NO_LIMITS)

    def test_a_very_long_text_in_little_time_is_split_too(self) -> None:
        assert len(cues_of("word " * 3_000, 14.0, max_line_width=0)) >= 2


@settings(deadline=None, max_examples=200)
@given(spoken_segments(), CUE_LIMITS)
def test_no_word_is_lost_and_cues_keep_the_limits_unless_a_single_word_is_larger(
    segment: Segment, limits: CueLimits
) -> None:
    cues = cut(segment, limits)
    assert "".join("".join(cue.text.split()) for cue in cues) == "".join(
        one_line(segment.text).split()
    )
    for cue in cues:
        lines = cue.text.split("\n")
        assert not 0 < limits.max_lines < len(lines)
        if limits.max_line_width:
            assert all(
                cell_width(line) <= limits.max_line_width or len(_unbroken(line)) == 1
                for line in lines
            )
        if limits.max_cue_seconds and len(_unbroken(cue.text)) > 1:
            assert cue.end - cue.start <= limits.max_cue_seconds * 1_000


def _unbroken(text: str) -> list[str]:
    """Return the pieces of a text that no line breaks."""
    return [cue.text for cue in cut(Segment(0.0, 1.0, text), CueLimits(1, 1, 0))]
