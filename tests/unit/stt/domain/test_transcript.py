"""Transcripts: their text, and segments that are moved in time."""

from stt.domain.transcript import Segment, Transcript, Word


def test_the_text_is_that_of_all_segments() -> None:
    segments = (Segment(0, 1, "good"), Segment(1, 2, ""), Segment(2, 3, "morning"))
    assert Transcript(segments).text == "good morning"
    assert Transcript().text == ""


def test_a_segment_is_shifted_with_its_words_to_whole_milliseconds() -> None:
    segment = Segment(0.1, 1.0, "hi", -0.3, 0.01, (Word(0.1, 0.5, "hi", 0.9),))
    later = segment.shifted(29.99999)
    assert (later.start, later.end) == (30.1, 31.0)
    assert later.words == (Word(30.1, 30.5, "hi", 0.9),)
    assert (later.text, later.avg_logprob, later.no_speech_prob) == ("hi", -0.3, 0.01)
    assert later.shifted(-30) == segment
