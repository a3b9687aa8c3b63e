"""What clients send, checked, and what it asks of the engine."""

import pytest
from pydantic import ValidationError

from stt.transcripts.cue_splitting import CueLimits
from whisper_server.engines.base import Options
from whisper_server.forms import MAX_CONTEXT_CHARACTERS, AudioForm, JobForm, RecordingForm


def test_left_out_fields_have_openais_defaults() -> None:
    form = AudioForm.model_validate({})
    assert (form.response_format, form.temperature, form.language) == ("json", 0.0, None)
    assert (form.wants_segments(), form.wants_words(), form.stream) == (True, False, False)
    assert form.options("transcribe") == Options()


def test_a_language_becomes_its_code() -> None:
    assert AudioForm.model_validate({"language": "German"}).options("translate").language == "de"


def test_a_text_of_any_length_is_cut_to_what_a_window_could_take() -> None:
    text = "".join(f"{number} " for number in range(20_000))
    form = AudioForm.model_validate({"prompt": text, "hotwords": text})
    assert form.prompt == text[-MAX_CONTEXT_CHARACTERS:]
    assert form.hotwords == text[:MAX_CONTEXT_CHARACTERS]


@pytest.mark.parametrize("language", [None, "", "auto", "Auto"])
def test_a_language_may_be_left_to_the_model(language: str | None) -> None:
    assert AudioForm.model_validate({"language": language}).options("transcribe").language is None


@pytest.mark.parametrize(
    "field",
    [
        {"response_format": "xml"}, {"speakers": "some"}, {"temperature": "1.5"},
        {"temperature": "nan"}, {"language": "klingon"}, {"timestamp_granularities[]": ["char"]},
        {"stream": "perhaps"}, {"beam_size": "0"}, {"beam_size": "11"}, {"beam_size": "2.5"},
        {"vad_filter": "sometimes"}, {"max_line_width": "-1"}, {"max_lines": "two"},
        {"max_cue_seconds": "nan"},
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused(field: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        AudioForm.model_validate(field)
    assert str(caught.value.errors()[0]["loc"][0]) in field


@pytest.mark.parametrize("field", [{"speakers": "true"}, {"response_format": "diarized_json"}])
def test_speakers_are_told_apart_by_words(field: dict[str, str]) -> None:
    form = AudioForm.model_validate(field)
    assert form.wants_speakers()
    assert form.options("transcribe").word_timestamps
    assert not form.wants_words()
    assert not AudioForm.model_validate({}).wants_speakers()


def test_a_job_does_not_stream() -> None:
    with pytest.raises(ValidationError, match="GET /jobs"):
        JobForm.model_validate({"stream": "true"})


def test_words_are_asked_of_the_engine_only_when_a_client_asks() -> None:
    words = AudioForm.model_validate({"timestamp_granularities[]": ["word", "segment"]})
    assert words.options("transcribe").word_timestamps
    assert not AudioForm.model_validate({}).options("transcribe").word_timestamps
    recording = RecordingForm.model_validate({"word_timestamps": "true"})
    assert recording.options("transcribe").word_timestamps


def test_the_extras_of_other_servers_reach_the_engine() -> None:
    fields = {"hotwords": "Aletsch", "vad_filter": "false", "beam_size": "1"}
    options = RecordingForm.model_validate(fields).options("transcribe")
    assert (options.hotwords, options.vad_filter, options.beam_size) == ("Aletsch", False, 1)


@pytest.mark.parametrize("name", ["srt", "vtt"])
def test_subtitles_ask_for_words_that_cues_are_split_by(name: str) -> None:
    form = AudioForm.model_validate({"response_format": name})
    assert form.cue_limits() == CueLimits(42, 2, 7.0)
    assert form.options("transcribe").word_timestamps
    assert not form.options("translate").word_timestamps  # their times are too bad for that
    off = {"max_line_width": "0", "max_lines": "0", "max_cue_seconds": "0"}
    whole = AudioForm.model_validate({"response_format": name, **off})
    assert not whole.options("transcribe").word_timestamps
