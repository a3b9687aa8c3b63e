"""Transcription responses: OpenAI's format, plain text, and words that are listed apart."""

import pytest

from stt.domain.transcript import Segment, Word
from stt.whisper.verbose_json import FORMAT_ERRORS, read_transcript


def test_segments_are_read_without_outer_blanks_and_without_empty_ones() -> None:
    transcript = read_transcript(
        {
            "text": "good morning",
            "language": "en",
            "language_probability": 0.9,
            "model": "large-v3",
            "segments": [
                {"start": 0, "end": 1.5, "text": " good ", "avg_logprob": -0.2},
                {"start": 1.5, "end": 2, "text": "  "},
            ],
        },
        2.0,
    )
    assert transcript.segments == (Segment(0.0, 1.5, "good", -0.2),)
    assert (transcript.language, transcript.language_probability) == ("en", 0.9)
    assert transcript.model == "large-v3"


@pytest.mark.parametrize(
    ("sent", "seconds"), [(1.5, 1.5), (None, 0), (-3, 0), (99, 2), (float("nan"), 0)]
)
def test_speech_without_text_is_read_and_lies_within_the_audio(
    sent: object, seconds: float
) -> None:
    body = {"text": "", "segments": [], "silent_speech_seconds": sent}
    assert read_transcript(body, 2.0).silent_speech_seconds == seconds
    assert read_transcript({"text": ""}, 2.0).silent_speech_seconds == 0


def test_a_language_that_openai_names_in_english_becomes_its_code() -> None:
    assert read_transcript({"text": "", "language": "german"}, 1.0).language == "de"
    assert read_transcript({"text": "", "language": "klingon"}, 1.0).language == "klingon"


def test_each_segment_may_have_a_language_of_its_own() -> None:
    times = {"start": 0, "end": 1, "text": "guten Tag"}
    segments = [times | {"language": "de"}, times, times | {"language": 7}]
    read = read_transcript({"text": "", "language": "en", "segments": segments}, 2.0)
    assert [segment.language for segment in read.segments] == ["de", None, None]


def test_a_plain_text_becomes_one_segment_as_long_as_the_audio() -> None:
    assert read_transcript({"text": " hello "}, 12.5).segments == (Segment(0, 12.5, "hello"),)
    assert read_transcript({"text": ""}, 12.5).segments == ()


def test_words_that_are_listed_apart_go_to_the_segments_around_their_middle() -> None:
    body = {
        "text": "one two three",
        "segments": [
            {"start": 0, "end": 1, "text": "one two"},
            {"start": 1, "end": 2, "text": "three"},
        ],
        "words": [
            {"start": 0.0, "end": 0.4, "word": "one"},
            {"start": 0.5, "end": 1.2, "word": "two"},
            {"start": 1.2, "end": 2.5, "word": "three", "probability": 0.5},
        ],
    }
    first, second = read_transcript(body, 2.0).segments
    assert [word.word for word in first.words] == ["one", "two"]
    assert second.words == (Word(1.2, 2.5, "three", 0.5),)


def test_words_within_segments_are_read_too() -> None:
    words = [{"start": 0, "end": 1, "word": "hi", "probability": 1}]
    segments = [{"start": 0, "end": 1, "text": "hi", "words": words}]
    [segment] = read_transcript({"text": "hi", "segments": segments}, 1.0).segments
    assert segment.words == (Word(0.0, 1.0, "hi", 1),)


@pytest.mark.parametrize("other", [["A"], 2, True, "A", {"A": 1}, [{"id": "A"}]])
def test_what_another_server_calls_speakers_costs_no_text(other: object) -> None:
    read = read_transcript({"text": "hi", "speakers": other}, 1.0)
    assert (read.text, read.speakers) == ("hi", None)


@pytest.mark.parametrize(
    "body",
    [
        {}, [], "text", {"text": 3}, {"text": "a", "segments": 3}, {"text": "a", "segments": [{}]},
        {"text": "a", "segments": [{"start": "x", "end": 1, "text": "a"}]},
    ],
)  # fmt: skip
def test_another_format_raises_one_of_the_errors_that_are_listed(body: object) -> None:
    with pytest.raises(FORMAT_ERRORS):
        read_transcript(body, 1.0)  # type: ignore[arg-type]
