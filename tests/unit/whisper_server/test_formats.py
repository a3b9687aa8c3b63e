"""Subtitles and plain text."""

import json
from collections.abc import Sequence

import pytest

from whisper_server.engines.base import Segment, Transcription, Word
from whisper_server.formats import GrowingText, render
from whisper_server.forms import AudioForm, ResponseFormat


def segment(start: float, end: float, text: str) -> Segment:
    return Segment(start, end, text, 0, (), 0.0, -0.1, 1.0, 0.0)


SEGMENTS = (segment(0.0, 1.5, " one two"), segment(3661.0415, 3662.9996, " three"))


def whole(segments: Sequence[Segment]) -> Transcription:
    return Transcription("en", 0.9, (("en", 0.9),), 4000.0, tuple(segments))


def in_format(name: str, segments: Sequence[Segment], **fields: object) -> str:
    form = AudioForm.model_validate({"response_format": name, **fields})
    return bytes(render(whole(segments), form, "transcribe").body).decode()


def test_text_is_one_line_with_an_end() -> None:
    assert in_format("text", SEGMENTS) == "one two three\n"


def test_srt_counts_its_cues_and_writes_commas() -> None:
    assert in_format("srt", SEGMENTS) == (
        "1\n00:00:00,000 --> 00:00:01,500\none two\n\n2\n01:01:01,042 --> 01:01:03,000\nthree\n\n"
    )


def test_vtt_has_its_header_and_writes_points() -> None:
    assert in_format("vtt", SEGMENTS) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\none two\n\n"
        "01:01:01.042 --> 01:01:03.000\nthree\n\n"
    )


def test_silence_is_an_empty_but_valid_file() -> None:
    assert in_format("srt", ()) == ""
    assert in_format("vtt", ()) == "WEBVTT\n\n"


def test_text_cannot_break_out_of_its_cue() -> None:
    mean = [segment(0, 1, " a\n\n00:00 --> <b> & c\x07")]
    assert in_format("vtt", mean).splitlines()[3] == "a 00:00 --&gt; &lt;b&gt; &amp; c"
    assert in_format("srt", mean).splitlines()[2] == "a 00:00 -> <b> & c"


@pytest.mark.parametrize("name", ["srt", "vtt"])
def test_a_cue_ends_after_it_starts_and_starts_after_the_one_before(name: str) -> None:
    text = in_format(name, [segment(5, 5, "one"), segment(4, 3, "two"), segment(6, 7, "  ")])
    times = [line for line in text.replace(".", ",").split("\n") if "-->" in line]
    assert times == ["00:00:05,000 --> 00:00:05,001", "00:00:05,001 --> 00:00:05,834"]


@pytest.mark.parametrize("name", ["srt", "vtt"])
def test_a_long_segment_becomes_several_cues_unless_the_limits_are_off(name: str) -> None:
    long = (segment(0.0, 20.0, " We meet at the station" * 10),)
    off = {"max_line_width": "0", "max_lines": "0", "max_cue_seconds": "0"}
    lines = in_format(name, long).split("\n")
    assert in_format(name, long).count("-->") == 3
    assert max(map(len, lines)) <= 42
    assert in_format(name, long, **off).count("-->") == 1
    assert in_format(name, long, max_lines="1").count("-->") == 6


def test_json_has_the_text_alone() -> None:
    assert in_format("json", SEGMENTS) == '{"text":"one two three"}'


def test_verbose_json_has_what_was_asked_for() -> None:
    spoken = [Segment(0, 1, " one", 0, (7,), 0, -0.1, 1, 0, (Word(0, 1, " one", 0.5),))]
    both = json.loads(
        in_format("verbose_json", spoken, **{"timestamp_granularities[]": ["word", "segment"]})
    )
    assert both["words"] == [{"word": " one", "start": 0, "end": 1, "probability": 0.5}]
    assert both["segments"][0]["tokens"] == [7]
    assert "words" not in json.loads(in_format("verbose_json", spoken))


@pytest.mark.parametrize("name", ["text", "srt", "vtt"])
def test_the_others_are_plain_text(name: str) -> None:
    form = AudioForm.model_validate({"response_format": name})
    rendered = render(whole(SEGMENTS), form, "transcribe")
    assert rendered.media_type == f"text/{name if name == 'vtt' else 'plain'}; charset=utf-8"
    assert b"one two" in rendered.body


ODD = (
    segment(0, 1, "  "), segment(1, 2, " one "), segment(2, 3, ""), segment(3, 4, "  two" * 60),
    segment(4, 5, " "),
)  # fmt: skip


@pytest.mark.parametrize("segments", [(), SEGMENTS, ODD])
@pytest.mark.parametrize("at_once", [1, 2, 5])
@pytest.mark.parametrize("name", ["json", "verbose_json", "text", "srt", "vtt"])
def test_what_grows_ends_as_the_whole(
    name: ResponseFormat, at_once: int, segments: tuple[Segment, ...]
) -> None:
    growing = GrowingText(name)
    pieces = [growing.add(segments[i : i + at_once]) for i in range(0, len(segments), at_once)]
    pieces.append(growing.end())
    expected = whole(segments).text if name not in {"srt", "vtt"} else in_format(name, segments)
    assert "".join(pieces) == expected
