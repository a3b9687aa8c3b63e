"""Subtitles and plain text."""

from whisper_server.engines.base import Segment, Transcription
from whisper_server.formats import as_srt, as_text, as_vtt


def segment(start: float, end: float, text: str) -> Segment:
    return Segment(start, end, text, 0, (), 0.0, -0.1, 1.0, 0.0)


SEGMENTS = (segment(0.0, 1.5, " one two"), segment(3661.0415, 3662.9996, " three"))


def test_text_is_one_line_with_an_end() -> None:
    assert as_text(Transcription("en", 1.0, (), 4000.0, SEGMENTS)) == "one two three\n"


def test_srt_counts_its_cues_and_writes_commas() -> None:
    assert as_srt(SEGMENTS) == (
        "1\n00:00:00,000 --> 00:00:01,500\none two\n\n2\n01:01:01,042 --> 01:01:03,000\nthree\n\n"
    )


def test_vtt_has_its_header_and_writes_points() -> None:
    assert as_vtt(SEGMENTS) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\none two\n\n"
        "01:01:01.042 --> 01:01:03.000\nthree\n\n"
    )


def test_silence_is_an_empty_but_valid_file() -> None:
    assert as_srt(()) == ""
    assert as_vtt(()) == "WEBVTT\n\n"


def test_text_cannot_break_out_of_its_cue() -> None:
    mean = [segment(0, 1, " a\n\n00:00 --> <b> & c")]
    assert as_vtt(mean).splitlines()[3] == "a 00:00 -&gt; &lt;b&gt; &amp; c"
    assert as_srt(mean).splitlines()[2] == "a 00:00 -> <b> & c"
