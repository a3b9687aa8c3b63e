"""OpenAI's endpoints and `/transcribe` over a stand-in engine."""

from dataclasses import replace

import pytest

from tests.support.whisper_stand_in import (
    TRANSCRIPTIONS,
    Running,
    StandInEngine,
    error_of,
    running,
    wav,
)
from whisper_server.engines.base import Options


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"response_format": "xml"}, 400, "response_format"),
        ({"temperature": "1.1"}, 400, "temperature"),
        ({"temperature": "hot"}, 400, "temperature"),
        ({"language": "klingon"}, 400, "language"),
        ({"stream": "perhaps"}, 400, "stream"),
        ({"response_format": "diarized_json"}, 400, "response_format"),
        ({"beam_size": "100"}, 400, "beam_size"),
        ({"vad_filter": "perhaps"}, 400, "vad_filter"),
        ({"timestamp_granularities[]": "char"}, 400, "timestamp_granularities[]"),
        ({"timestamp_granularities[]": "word"}, 400, "timestamp_granularities[]"),
        ({"model": "gpt-4o-transcribe"}, 404, "model"),
    ],
)
def test_a_wrong_value_is_named(
    open_server: Running, fields: dict[str, str], status: int, param: str
) -> None:
    response = open_server.post(data=fields)
    assert response.status_code == status
    assert error_of(response)["param"] == param


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"model": "base"}, {"model": "whisper-1"}, {"model": ""},
        {"stream": "false", "language": "", "unheard_of": "yes"},
        {"language": "English", "temperature": "0.3", "prompt": "a b"},
    ],
)  # fmt: skip
def test_what_openais_clients_send_is_accepted(
    open_server: Running, fields: dict[str, str]
) -> None:
    response = open_server.post(data=fields)
    assert response.status_code == 200, response.text
    assert response.json() == {"text": "1.0"}


def test_options_reach_the_engine(open_server: Running) -> None:
    fields = {
        "language": "German", "prompt": "Rhabarber", "temperature": "0.5",
        "response_format": "verbose_json", "timestamp_granularities": "word",
        "hotwords": "Kompott", "beam_size": "2", "vad_filter": "false",
    }  # fmt: skip
    expected = Options("transcribe", "de", "Rhabarber", 0.5, True, "Kompott", 2, False)
    (word,) = open_server.post(data=fields).json()["words"]
    assert word == {"word": "1.0", "start": 0.0, "end": 1.0, "probability": 1.0}
    assert open_server.engine.calls[-1] == expected
    assert open_server.post("/v1/audio/translations", data=fields).status_code == 200
    assert open_server.engine.calls[-1] == replace(expected, task="translate")


def test_several_files_become_one_recording(open_server: Running) -> None:
    files = [("files", ("a.wav", wav(1.0))), ("files", ("b.wav", wav(0.5)))]
    body = open_server.post("/transcribe", files=files).json()
    assert body["duration"] == 1.5
    assert body["top_language_probs"] == [["en", 1.0]]
    assert [segment["text"] for segment in body["segments"]] == ["1.5"]


def test_several_files_may_be_translated(open_server: Running) -> None:
    files = [("files", ("a.wav", wav(1.0)))]
    answer = open_server.post("/transcribe", files=files, data={"task": "translate"})
    assert answer.status_code == 200
    assert open_server.engine.calls[-1].task == "translate"


def test_an_english_model_refuses_to_translate() -> None:
    with running(StandInEngine(multilingual=False)) as server:
        response = server.post("/v1/audio/translations")
        assert (response.status_code, error_of(response)["code"]) == (400, "unsupported_task")


@pytest.mark.parametrize(
    ("path", "name"),
    [(TRANSCRIPTIONS, "file"), ("/v1/audio/translations", "file"), ("/transcribe", "files"),
     ("/jobs", "file")],
)  # fmt: skip
def test_a_language_that_the_model_does_not_know_is_refused(
    open_server: Running, path: str, name: str
) -> None:
    files = {name: ("a.wav", wav(1.0))}
    response = open_server.post(path, files=files, data={"language": "Cantonese"})
    error = error_of(response)
    assert (response.status_code, error["code"]) == (400, "unsupported_language")
    assert (error["param"], "'base' does not know 'yue'" in error["message"]) == ("language", True)
