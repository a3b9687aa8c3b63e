"""What clients get, in the right shape."""

from whisper_server.engines.base import Segment, Transcription, Word
from whisper_server.errors import InvalidAudio
from whisper_server.schemas import ErrorOut, RecordingOut, VerboseOut

FOUND = Transcription(
    language="en",
    language_probability=0.9,
    top_language_probs=(("en", 0.9), ("de", 0.05)),
    duration_seconds=2.5,
    segments=(
        Segment(
            0.0, 2.0, " one", 0, (1, 2), 0.0, -0.2, 0.9, 0.01, (Word(0.0, 2.0, "one", 0.8),), "en"
        ),
    ),
    silent_speech_seconds=1.23456,
)  # fmt: skip


def test_verbose_json_has_every_field_of_openai() -> None:
    out = VerboseOut.of("transcribe", FOUND).model_dump(exclude_none=True)
    assert set(out) == {
        "task", "language", "language_probability", "duration", "text", "segments",
        "silent_speech_seconds",
    }  # fmt: skip
    assert set(out["segments"][0]) == {
        "id", "seek", "start", "end", "text", "tokens", "temperature", "avg_logprob",
        "compression_ratio", "no_speech_prob", "language",
    }  # fmt: skip
    assert out["segments"][0]["language"] == "en"
    assert out["silent_speech_seconds"] == 1.235


def test_words_alone_leave_the_segments_out() -> None:
    out = VerboseOut.of("transcribe", FOUND, segments=False, words=True).model_dump(
        exclude_none=True
    )
    assert "segments" not in out
    assert out["words"] == [{"word": "one", "start": 0.0, "end": 2.0, "probability": 0.8}]


def test_a_recording_names_its_likeliest_languages_first() -> None:
    out = RecordingOut.of(FOUND, words=False).model_dump(exclude_none=True)
    assert out["top_language_probs"] == [("en", 0.9), ("de", 0.05)]
    assert "words" not in out["segments"][0]
    assert (out["segments"][0]["language"], out["silent_speech_seconds"]) == ("en", 1.235)


def test_an_error_has_openais_form() -> None:
    assert ErrorOut.of(InvalidAudio("no audio", param="file")).model_dump() == {
        "error": {
            "message": "no audio", "type": "invalid_request_error", "param": "file",
            "code": "invalid_audio",
        },
    }  # fmt: skip
