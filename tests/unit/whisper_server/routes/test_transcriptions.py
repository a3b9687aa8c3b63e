"""OpenAI's endpoints and `/transcribe` over a stand-in engine."""

import base64
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from http.client import HTTPConnection
from typing import cast

import numpy as np
import pytest
import requests
from urllib3.filepost import encode_multipart_formdata

from stt.media.samples import Samples
from stt.transcripts.speakers import Voice
from tests.support.pace import until
from tests.support.whisper_stand_in import (
    TRANSCRIPTIONS,
    Running,
    StandInEngine,
    error_of,
    running,
    wav,
)
from whisper_server.engines.base import Options
from whisper_server.routes import uploads
from whisper_server.speakers.diarizer import Diarizer
from whisper_server.speakers.turns import PieceSpeakers, Turn


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"response_format": "xml"}, 400, "response_format"),
        ({"temperature": "1.1"}, 400, "temperature"),
        ({"temperature": "hot"}, 400, "temperature"),
        ({"language": "klingon"}, 400, "language"),
        ({"stream": "perhaps"}, 400, "stream"),
        ({"response_format": "diarized_json"}, 400, "response_format"),
        ({"speakers": "true"}, 400, "speakers"),
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


class SpeakersOfASecond:
    """In place of the process: every piece has one speaker, or finding them fails."""

    works = True

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure

    def find(self, read: Callable[[], Samples]) -> "Future[PieceSpeakers]":
        future: Future[PieceSpeakers] = Future()
        if self.failure:
            future.set_exception(self.failure)
        else:
            voice = Voice(np.array([3.0, 4.0], np.float32), 1.0)
            future.set_result(PieceSpeakers((Turn(0.0, 1.0, 0),), (voice,)))
        return future


@pytest.fixture(scope="module")
def speakers_server() -> Iterator[Running]:
    with running(diarizer=cast(Diarizer, SpeakersOfASecond())) as server:
        yield server


def test_speakers_come_in_openais_form(speakers_server: Running) -> None:
    response = speakers_server.post(data={"response_format": "diarized_json"})
    assert response.json() == {
        "task": "transcribe",
        "duration": 1.0,
        "text": "1.0",
        "segments": [
            {"type": "transcript.text.segment", "id": "seg_0", "start": 0.0, "end": 1.0,
             "text": " 1.0", "speaker": "A"}
        ],
    }  # fmt: skip


def test_speakers_come_with_their_voices(speakers_server: Running) -> None:
    body = speakers_server.post(data={"response_format": "verbose_json", "speakers": "true"}).json()
    assert [segment["speaker"] for segment in body["segments"]] == ["A"]
    (speaker,) = body["speakers"]
    assert (speaker["id"], speaker["seconds"]) == ("A", 1.0)
    embedding = np.frombuffer(base64.b64decode(speaker["embedding"]), "<f2")
    assert embedding.tolist() == pytest.approx([0.6, 0.8], abs=1e-3)
    assert "words" not in body
    files = [("files", ("a.wav", wav(1.0)))]
    recording = speakers_server.post("/transcribe", files=files, data={"speakers": "true"}).json()
    assert [segment["speaker"] for segment in recording["segments"]] == ["A"]
    assert recording["speakers"] == body["speakers"]


def test_who_asks_for_no_speakers_gets_none(speakers_server: Running) -> None:
    body = speakers_server.post(data={"response_format": "verbose_json"}).json()
    assert "speakers" not in body
    assert "speaker" not in body["segments"][0]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"speakers": "true", "response_format": "srt"}, "response_format"),
        ({"speakers": "true"}, "response_format"),
        ({"response_format": "diarized_json", "stream": "true"}, "stream"),
    ],
)
def test_speakers_go_with_some_formats_only(
    speakers_server: Running, fields: dict[str, str], param: str
) -> None:
    response = speakers_server.post(data=fields)
    assert (response.status_code, error_of(response)["param"]) == (400, param)


def test_a_server_says_whether_it_finds_speakers(
    speakers_server: Running, open_server: Running
) -> None:
    for server, expected in ((speakers_server, True), (open_server, False)):
        first = requests.get(server.url + "/v1/models", timeout=20).json()["data"][0]
        assert first["speakers"] is expected
    refused = open_server.post(data={"response_format": "diarized_json"})
    assert error_of(refused)["code"] == "no_speakers"


def test_a_server_whose_models_cannot_be_loaded_finds_no_speakers() -> None:
    broken = SpeakersOfASecond()
    broken.works = False
    with running(diarizer=cast(Diarizer, broken)) as server:
        first = requests.get(server.url + "/v1/models", timeout=20).json()["data"][0]
        assert first["speakers"] is False
        refused = server.post(data={"response_format": "diarized_json"})
        assert (refused.status_code, error_of(refused)["code"]) == (400, "no_speakers")
        assert "see its log" in error_of(refused)["message"]
        assert server.post().status_code == 200
        broken.works = True
        assert server.post(data={"response_format": "diarized_json"}).status_code == 200


class OddSpeakers:
    works = True

    def find(self, read: Callable[[], Samples]) -> "Future[PieceSpeakers]":
        future: Future[PieceSpeakers] = Future()
        future.set_result(PieceSpeakers((Turn(0.0, 1.0, cast(int, "odd")),)))
        return future


@pytest.mark.parametrize("failing", [SpeakersOfASecond(OSError("gone")), OddSpeakers()])
def test_a_failure_costs_the_speakers_and_not_the_text(failing: object) -> None:
    with running(diarizer=cast(Diarizer, failing)) as server:
        response = server.post(data={"response_format": "verbose_json", "speakers": "true"})
    assert (response.status_code, response.json()["text"]) == (200, "1.0")
    assert "speakers" not in response.json(), "an empty list says that no voice was heard"
    assert "speakers could not be found" in response.headers["Warning"]


class PiecesThatWait(SpeakersOfASecond):
    """In place of a process that does not come to them."""

    def __init__(self) -> None:
        super().__init__()
        self.futures: list[Future[PieceSpeakers]] = []

    def find(self, read: Callable[[], Samples]) -> "Future[PieceSpeakers]":
        self.futures.append(Future())
        return self.futures[-1]


WITH_SPEAKERS = {"response_format": "verbose_json", "speakers": "true"}


def test_a_caller_who_hangs_up_while_speakers_are_awaited_frees_the_place() -> None:
    waiting = PiecesThatWait()
    with running(diarizer=cast(Diarizer, waiting)) as server:
        body, kind = encode_multipart_formdata({**WITH_SPEAKERS, "file": ("a.wav", wav(1.0))})
        connection = HTTPConnection(server.url.removeprefix("http://"))
        connection.request("POST", TRANSCRIPTIONS, body, {"Content-Type": kind})
        until(lambda: bool(waiting.futures))
        connection.close()
        until(lambda: waiting.futures[0].cancelled())
        until(lambda: server.service.scheduler.state().waiting == 0)


def test_the_time_of_a_request_ends_the_wait_for_speakers_and_keeps_the_text() -> None:
    with running(diarizer=cast(Diarizer, PiecesThatWait()), REQUEST_TIMEOUT=3) as server:
        response = server.post(data=WITH_SPEAKERS, timeout=180)
    assert (response.status_code, response.json()["text"]) == (200, "1.0")
    assert "speakers could not be found (TimeoutError)" in response.headers["Warning"]


def test_speakers_that_never_come_cost_the_speakers_and_not_the_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uploads, "longest_seconds", lambda seconds: 0.1)
    with running(diarizer=cast(Diarizer, PiecesThatWait())) as server:
        response = server.post(data={"response_format": "verbose_json", "speakers": "true"})
    assert (response.status_code, response.json()["text"]) == (200, "1.0")
    assert "speakers could not be found (TimeoutError)" in response.headers["Warning"]
