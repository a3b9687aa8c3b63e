"""Lines of texts: a sentence each, and nothing is lost."""

from hypothesis import given, settings
from hypothesis import strategies as st

from stt.domain.transcript import Segment
from stt.transcripts.cues import one_line
from stt.transcripts.sentences import SentenceLines
from tests.support.spoken_segments import spoken_segments


def lines_of(*segments: Segment) -> list[str]:
    lines = SentenceLines()
    whole = [line for segment in segments for line in lines.add(segment)]
    return [*whole, *lines.flush()]


def test_pauses_within_a_sentence_end_no_line() -> None:
    assert lines_of(
        Segment(0.0, 2.0, "And so my fellow Americans"),
        Segment(3.2, 4.3, "ask not"),
        Segment(5.3, 7.6, "what your country can do for you,"),
        Segment(8.1, 10.5, "ask what you can do for your country."),
        Segment(10.6, 11.0, "Thank you."),
    ) == [
        "And so my fellow Americans ask not what your country can do for you,"
        " ask what you can do for your country.",
        "Thank you.",
    ]


def test_a_segment_of_several_sentences_is_divided() -> None:
    assert lines_of(
        Segment(0, 6, "We met Dr. Müller at 3.30 p.m. in the hall. Why? Nobody"),
        Segment(6, 8, "knows. 我们走吧。好的。"),
    ) == [
        "We met Dr. Müller at 3.30 p.m. in the hall.",
        "Why?",
        "Nobody knows.",
        "我们走吧。",
        "好的。",
    ]


def test_a_long_pause_ends_a_line_where_no_mark_does() -> None:
    segments = Segment(0, 2, "press one"), Segment(5, 7, "enter your number")
    assert lines_of(*segments) == ["press one", "enter your number"]


def test_a_line_is_in_one_language() -> None:
    english = Segment(0, 2, "we say good day or", language="en")
    german = Segment(2, 4, "guten Tag", language="de")
    assert lines_of(english, german) == ["we say good day or", "guten Tag"]
    unknown = Segment(2, 4, "hello")
    assert lines_of(english, unknown) == ["we say good day or hello"]


def test_segments_without_text_change_nothing() -> None:
    assert lines_of(Segment(0, 1, "one"), Segment(1, 1, " \n"), Segment(1, 2, "two")) == ["one two"]


@settings(deadline=None)
@given(st.lists(spoken_segments(), max_size=5))
def test_no_word_is_lost(segments: list[Segment]) -> None:
    lines = lines_of(*segments)
    assert all(line and line == one_line(line) for line in lines)
    assert "".join("".join(lines).split()) == "".join(
        "".join(one_line(segment.text).split()) for segment in segments
    )
