"""The HTTP surface over a stand-in engine, in a real uvicorn."""

import contextlib
import errno
import io
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any
from urllib.parse import urljoin

import pytest
import requests
import starlette.formparsers

from tests.support.whisper_stand_in import (
    TRANSCRIPTIONS,
    Running,
    StandInEngine,
    running,
    until,
    wav,
)
from whisper_server.engines.base import Options
from whisper_server.errors import EngineFailed, ModelUnavailable
from whisper_server.routes import uploads
from whisper_server.schemas import ErrorOut


def error_of(response: requests.Response) -> dict[str, str]:
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    error: dict[str, str] = body["error"]
    return error


@pytest.fixture(scope="module")
def open_server() -> Iterator[Running]:
    with running() as server:
        yield server


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
    assert open_server.post(data=fields).json()["words"] == []
    assert open_server.engine.calls[-1] == expected
    assert open_server.post("/v1/audio/translations", data=fields).status_code == 200
    assert open_server.engine.calls[-1] == replace(expected, task="translate")


IN_VAIN = {
    "include[]": "logprobs", "chunking_strategy[type]": "server_vad",
    "chunking_strategy[threshold]": "0.5", "known_speaker_names[]": ["agent", "customer"],
    "known_speaker_references[]": "data:audio/wav;base64,AAA=", "keywords": "firn",
    "languages[]": "en",
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "field"),
    [(TRANSCRIPTIONS, "file"), ("/transcribe", "files"), ("/jobs", "file")],
)
def test_what_cannot_be_honoured_is_taken_with_a_warning(
    open_server: Running, path: str, field: str
) -> None:
    response = open_server.post(path, data=IN_VAIN, files={field: ("a.wav", wav(1.0))})
    assert response.ok
    warnings = response.raw.headers.getlist("Warning")
    named = [warning.split("'")[1] for warning in warnings]
    assert sorted(named) == [
        "chunking_strategy", "include", "keywords", "known_speaker_names",
        "known_speaker_references", "languages",
    ]  # fmt: skip
    assert all(warning.startswith('299 - "') for warning in warnings)


def test_nobody_is_warned_without_need(open_server: Running) -> None:
    fields = {"include[]": "", "prompt": "a", "unheard_of": "yes"}
    assert "Warning" not in open_server.post(data=fields).headers


def test_several_files_become_one_recording(open_server: Running) -> None:
    files = [("files", ("a.wav", wav(1.0))), ("files", ("b.wav", wav(0.5)))]
    body = open_server.post("/transcribe", files=files).json()
    assert body["duration"] == 1.5
    assert body["top_language_probs"] == [["en", 1.0]]
    assert [segment["text"] for segment in body["segments"]] == ["1.5"]


@pytest.mark.parametrize("path", [TRANSCRIPTIONS, "/v1/audio/translations", "/transcribe", "/jobs"])
def test_a_missing_file_is_a_400_not_a_422(open_server: Running, path: str) -> None:
    bodies: list[dict[str, Any]] = [
        {"files": {"other": b"x"}},
        {"files": None},
        {"files": None, "json": {}},
    ]
    for more in bodies:
        response = open_server.post(path, **more)
        assert response.status_code == 400
        assert error_of(response)["code"] == "missing_file"


@pytest.mark.parametrize(
    ("content", "code"), [(b"", "empty_file"), (b"just text " * 50, "invalid_audio")]
)
def test_what_is_no_audio_is_refused(open_server: Running, content: bytes, code: str) -> None:
    response = open_server.post(files={"file": ("a.wav", content)})
    assert response.status_code == 400
    assert error_of(response) == error_of(response) | {"code": code, "param": "file"}


def test_a_mangled_form_is_a_400(open_server: Running) -> None:
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        response = requests.post(
            open_server.url + TRANSCRIPTIONS,
            data=b"--y\r\nnonsense",
            headers={"Content-Type": kind},
            timeout=60,
        )
        assert response.status_code == 400
        error_of(response)


def test_unknown_paths_and_methods_keep_the_shape(open_server: Running) -> None:
    nowhere = requests.get(open_server.url + "/v2/nothing", timeout=60)
    assert (nowhere.status_code, error_of(nowhere)["code"]) == (404, "not_found")
    wrong = requests.get(open_server.url + TRANSCRIPTIONS, timeout=60)
    assert (wrong.status_code, error_of(wrong)["code"]) == (405, "method_not_allowed")
    assert wrong.headers["Allow"] == "POST"
    for path, allowed in (("/jobs", "GET, POST"), ("/jobs/x", "DELETE, GET")):
        wrong = requests.put(open_server.url + path, timeout=60)
        assert (wrong.status_code, wrong.headers["Allow"]) == (405, allowed)


def test_the_loaded_model_comes_first_in_the_list(open_server: Running) -> None:
    body = requests.get(open_server.url + "/v1/models", timeout=60).json()
    assert body["object"] == "list"
    assert (body["data"][0]["id"], body["data"][0]["loaded"]) == ("base", True)
    assert {"demo", "large-v3-turbo"} <= {model["id"] for model in body["data"][1:]}
    one = requests.get(open_server.url + "/v1/models/whisper-1", timeout=60)
    assert one.json() == body["data"][0]
    other = requests.get(open_server.url + "/v1/models/some/other", timeout=60)
    assert (other.status_code, error_of(other)["code"]) == (404, "model_not_found")


def test_the_documentation_page_needs_nothing_from_another_machine(open_server: Running) -> None:
    page = requests.get(open_server.url + "/docs", timeout=60).text
    files = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert {Path(file).suffix for file in files} == {".js", ".css", ".png"}
    for file in files:
        assert requests.get(urljoin(open_server.url, file), timeout=60).ok
        assert file.startswith("/")


def test_the_documentation_shows_the_form_and_an_example_of_each_format(
    open_server: Running,
) -> None:
    schema = requests.get(open_server.url + "/openapi.json", timeout=60).json()
    endpoint = schema["paths"][TRANSCRIPTIONS]["post"]
    form = endpoint["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert {"file", "language", "timestamp_granularities[]"} <= set(form)
    assert not any("anyOf" in field for field in form.values())
    answers = endpoint["responses"]
    examples = {name for body in answers["200"]["content"].values() for name in body["examples"]}
    assert examples == {"json", "verbose_json", "text", "srt", "vtt", "stream"}
    for status in ("400", "404", "413", "500", "503", "504"):
        for name in answers[status]["content"]["application/json"]["examples"]:
            ErrorOut.model_validate(schema["components"]["examples"][name]["value"])


@pytest.mark.parametrize("key", [None, "secret"])
def test_the_documentation_asks_for_a_key_where_one_is_wanted(key: str | None) -> None:
    variables: dict[str, Any] = {"API_KEY": key} if key else {}
    with running(**variables) as server:
        assert requests.get(server.url + "/docs", timeout=60).ok
        schema = requests.get(server.url + "/openapi.json", timeout=60).json()
        for path in (TRANSCRIPTIONS, "/jobs", "/transcribe"):
            endpoint = schema["paths"][path]["post"]
            assert ("security" in endpoint) == (key is not None)
            assert ("401" in endpoint["responses"]) == (key is not None)
        assert "security" not in schema["paths"]["/health"]["get"]


def test_a_key_guards_everything_but_health() -> None:
    with running(API_KEY="gehëim") as server:
        for path in ("/health", "/ready"):
            assert requests.get(server.url + path, timeout=60).ok
        for key in (None, "wrong", "gehëim ", "✓"):
            headers = {} if key is None else {"Authorization": f"Bearer {key}x".encode()}
            response = server.post(headers=headers)
            assert response.status_code == 401
            assert response.headers["WWW-Authenticate"] == "Bearer"
            assert error_of(response)["code"] == "invalid_api_key"
        assert requests.get(server.url + "/v1/models", timeout=60).status_code == 401
        assert server.engine.calls == []
        right = {"Authorization": "Bearer gehëim".encode()}
        assert server.post(headers=right).ok


def endless() -> Iterator[bytes]:
    """A chunked body that never ends and announces no length."""
    yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    for _ in range(4096):
        yield b"\0" * 65536


def test_too_large_is_a_413_whether_announced_or_not() -> None:
    with running(MAX_UPLOAD_MB=1) as server:
        announced = server.post(files={"file": ("a.wav", b"\0" * 3_000_000)})
        assert (announced.status_code, error_of(announced)["code"]) == (413, "file_too_large")
        silent = requests.post(
            server.url + TRANSCRIPTIONS,
            data=endless(),
            headers={"Content-Type": "multipart/form-data; boundary=x"},
            timeout=60,
        )
        assert (silent.status_code, error_of(silent)["code"]) == (413, "file_too_large")
        assert server.post().ok


def test_too_long_is_a_413() -> None:
    with running(MAX_AUDIO_SECONDS=2) as server:
        response = server.post(files={"file": ("a.wav", wav(3.0))})
        assert (response.status_code, error_of(response)["code"]) == (413, "audio_too_long")


def test_while_the_model_loads_only_health_is_well() -> None:
    with running(loaded=False) as server:
        assert requests.get(server.url + "/health", timeout=60).json()["status"] == "ok"
        for response in (requests.get(server.url + "/ready", timeout=60), server.post()):
            assert (response.status_code, error_of(response)["code"]) == (503, "model_loading")
            assert int(response.headers["Retry-After"]) >= 1
        server.engine.go.set()
        server.engine.may_load.set()
        until(lambda: requests.get(server.url + "/ready", timeout=60).ok)
        assert server.post().ok


@pytest.mark.parametrize("failure", [ModelUnavailable("no such model"), KeyError("surprise")])
def test_a_model_that_cannot_be_loaded_ends_the_server(failure: Exception) -> None:
    with running(StandInEngine(load_failure=failure), loaded=False) as server:
        server.engine.may_load.set()
        assert server.load_failed.wait(10)
        assert server.service.failure is not None
        assert requests.get(server.url + "/ready", timeout=60).status_code == 503


@pytest.mark.parametrize("failure", [EngineFailed("CUDA out of memory"), KeyError("/secret/path")])
def test_a_fault_inside_tells_the_log_not_the_client(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with running(StandInEngine(failure=failure)) as server:
        response = server.post()
        assert (response.status_code, error_of(response)["type"]) == (500, "server_error")
        assert "secret" not in response.text
        assert "CUDA" not in response.text
        until(lambda: str(failure) in caplog.text)
        server.engine.failure = None
        assert server.post().ok


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


def in_background(call: Callable[[], object]) -> threading.Thread:
    def swallow() -> None:
        with contextlib.suppress(requests.RequestException):
            call()

    thread = threading.Thread(target=swallow, daemon=True)
    thread.start()
    return thread


def test_ready_names_the_process_so_that_clients_know_when_another_one_answers() -> None:
    with running() as one, running() as other:
        names = [requests.get(s.url + "/ready", timeout=60).json()["instance"] for s in (one, one)]
        assert names[0] == names[1] != ""
        assert requests.get(other.url + "/ready", timeout=60).json()["instance"] != names[0]


def test_a_full_line_sends_away_and_counts_itself_in_ready() -> None:
    with running(busy=True) as server:
        threads = [in_background(server.post) for _ in range(3)]
        until(lambda: server.service.scheduler.state().waiting == 2)
        until(lambda: server.service.scheduler.state().in_work == 1)
        ready = requests.get(server.url + "/ready", timeout=60).json()
        assert (ready["capacity"], ready["in_flight"], ready["waiting"]) == (1, 1, 2)
        response = server.post()
        assert (response.status_code, error_of(response)["code"]) == (503, "queue_full")
        assert int(response.headers["Retry-After"]) >= 1
        server.engine.go.set()
        for thread in threads:
            thread.join(10)
        assert len(server.engine.calls) == 3


def test_clients_that_hang_up_are_not_transcribed() -> None:
    with running(busy=True) as server:
        first = in_background(lambda: server.post(timeout=0.4))
        until(lambda: server.service.scheduler.state().in_work == 1)
        second = in_background(lambda: server.post(timeout=0.2))
        until(lambda: server.service.scheduler.state().waiting == 1)
        for thread in (first, second):
            thread.join(10)
        until(lambda: server.service.scheduler.state().in_work == 0)
        until(lambda: server.service.scheduler.state().waiting == 0)
        assert len(server.engine.calls) == 1
        server.engine.go.set()
        assert server.post().json() == {"text": "1.0"}


def test_a_client_that_hangs_up_while_uploading_leaves_no_traceback(
    open_server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = open_server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100000\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n".encode()
        )
        until(lambda: open_server.service.scheduler.state().waiting == 1)
    until(lambda: open_server.service.scheduler.state().waiting == 0)
    assert open_server.post().ok
    assert "Traceback" not in caplog.text


def test_an_upload_that_stalls_gives_its_place_up(
    open_server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "STALL_SECONDS", 0.2)
    host, port = open_server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(
            f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100000\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n".encode()
        )
        answer = connection.recv(4096)
        while b"}}" not in answer:
            answer += connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"upload_stalled" in answer
    until(lambda: open_server.service.scheduler.state().waiting == 0)


def test_a_transcription_may_take_longer_than_an_upload_may_stall(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uploads, "STALL_SECONDS", 0.2)
    engine = StandInEngine()
    engine.refuses = lambda windows: time.sleep(0.6)
    with running(engine) as server:
        assert server.post().json() == {"text": "1.0"}


def test_a_file_that_is_sent_twice_is_refused(open_server: Running) -> None:
    files = [("file", io.BytesIO(wav(1))), ("file", io.BytesIO(wav(1)))]
    response = open_server.post(files=files)
    assert response.status_code == 400
    error_of(response)


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, "disk_full"), (errno.EMFILE, "too_many_files")]
)
def test_a_machine_without_room_sends_the_upload_away(
    open_server: Running, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    class Full(SpooledTemporaryFile[bytes]):
        """In place of a full disk, which cannot be had in a test."""

        def write(self, data: Any) -> int:
            raise OSError(number, "No room")

    with monkeypatch.context() as patched:
        patched.setattr(starlette.formparsers, "SpooledTemporaryFile", Full)
        response = open_server.post()
    assert (response.status_code, error_of(response)["code"]) == (503, code)
    assert int(response.headers["Retry-After"]) > 0
    assert open_server.post().ok
