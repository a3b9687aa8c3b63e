"""What clients send, checked; what they get, in the right shape."""

import pytest
from pydantic import ValidationError

from whisper_server.engines.base import Segment, Transcription, Word
from whisper_server.schemas import (
    RecordingForm,
    RecordingOut,
    TranscriptionForm,
    VerboseOut,
    options_of,
)

FOUND = Transcription(
    language="en",
    language_probability=0.9,
    top_language_probs=(("en", 0.9), ("de", 0.05)),
    duration_seconds=2.5,
    segments=(
        Segment(
            0.0, 2.0, " one", 0, (1, 2), 0.0, -0.2, 0.9, 0.01, (Word(0.0, 2.0, "one", 0.8),)
        ),
    ),
)  # fmt: skip


def test_left_out_fields_have_openais_defaults() -> None:
    form = TranscriptionForm.model_validate({})
    assert (form.response_format, form.temperature, form.language) == ("json", 0.0, None)
    assert form.granularities() == ("segment",)


def test_a_language_becomes_its_code() -> None:
    form = TranscriptionForm.model_validate({"language": "German"})
    assert options_of(form, "translate").language == "de"


@pytest.mark.parametrize(
    "field",
    [
        {"response_format": "xml"}, {"temperature": "1.5"}, {"temperature": "nan"},
        {"language": "klingon"}, {"timestamp_granularities[]": ["char"]}, {"stream": "true"},
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused(field: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        TranscriptionForm.model_validate(field)
    assert str(caught.value.errors()[0]["loc"][0]) in field


def test_words_are_asked_of_the_engine_only_when_a_client_asks() -> None:
    words = TranscriptionForm.model_validate({"timestamp_granularities[]": ["word", "segment"]})
    assert options_of(words, "transcribe").word_timestamps
    assert not options_of(TranscriptionForm.model_validate({}), "transcribe").word_timestamps
    assert options_of(
        RecordingForm.model_validate({"word_timestamps": "true"}), "transcribe"
    ).word_timestamps


def test_verbose_json_has_every_field_of_openai() -> None:
    out = VerboseOut.of("transcribe", FOUND, ("segment",)).model_dump(exclude_none=True)
    assert set(out) == {
        "task", "language", "language_probability", "duration", "text", "segments",
    }  # fmt: skip
    assert set(out["segments"][0]) == {
        "id", "seek", "start", "end", "text", "tokens", "temperature", "avg_logprob",
        "compression_ratio", "no_speech_prob",
    }  # fmt: skip


def test_words_alone_leave_the_segments_out() -> None:
    out = VerboseOut.of("transcribe", FOUND, ("word",)).model_dump(exclude_none=True)
    assert "segments" not in out
    assert out["words"] == [{"word": "one", "start": 0.0, "end": 2.0, "probability": 0.8}]


def test_a_recording_names_its_likeliest_languages_first() -> None:
    out = RecordingOut.of(FOUND, words=False).model_dump(exclude_none=True)
    assert out["top_language_probs"] == [("en", 0.9), ("de", 0.05)]
    assert "words" not in out["segments"][0]
