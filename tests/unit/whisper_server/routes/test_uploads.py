"""Uploads: the form, what is no audio, what is too large, and what breaks off."""

import contextlib
import errno
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any

import pytest
import requests
import starlette.formparsers

from tests.support.damage import tones
from tests.support.pace import until
from tests.support.whisper_jobs import ended
from tests.support.whisper_stand_in import (
    TRANSCRIPTIONS,
    Running,
    StandInEngine,
    error_of,
    running,
    wav,
)
from whisper_server.routes import uploads

TWO_TRACKS = Path(__file__).parents[3] / "data" / "two-tracks-second-default.mkv"
IN_VAIN = {
    "include[]": "logprobs", "chunking_strategy[type]": "server_vad",
    "chunking_strategy[threshold]": "0.5", "known_speaker_names[]": ["agent", "customer"],
    "known_speaker_references[]": "data:audio/wav;base64,AAA=", "keywords": "firn",
    "languages[]": "en",
}  # fmt: skip


def endless() -> Iterator[bytes]:
    """A chunked body that never ends and announces no length."""
    yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    for _ in range(4096):
        yield b"\0" * 65536


def in_background(call: Callable[[], object]) -> threading.Thread:
    def swallow() -> None:
        with contextlib.suppress(requests.RequestException):
            call()

    thread = threading.Thread(target=swallow, daemon=True)
    thread.start()
    return thread


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


def test_what_is_lost_of_a_file_is_a_warning(open_server: Running) -> None:
    whole = tones("wav", seconds=4)
    response = open_server.post(files={"file": ("a.wav", whole[: len(whole) // 2])})
    assert response.ok
    assert response.headers["Warning"] == (
        '299 - "The file: truncated: it breaks off after 0:00:02.0; about 2.0 s are missing"'
    )


def test_the_warnings_of_a_job_are_those_of_its_result(open_server: Running) -> None:
    whole = tones("wav", seconds=4)
    sent = open_server.post("/jobs", files={"file": ("a.wav", whole[: len(whole) // 2])})
    path = sent.headers["Location"]
    assert ended(open_server, path)["status"] == "done"
    assert "truncated" in requests.get(open_server.url + path, timeout=60).headers["Warning"]


def test_the_warnings_of_a_stream_are_in_its_last_event(open_server: Running) -> None:
    whole = tones("wav", seconds=4)
    response = open_server.post(
        data={"stream": "true"}, files={"file": ("a.wav", whole[: len(whole) // 2])}
    )
    last = [line for line in response.text.splitlines() if line.startswith("data: ")][-1]
    (warning,) = json.loads(last.removeprefix("data: "))["warnings"]
    assert "truncated" in warning


def test_warnings_never_fill_the_headers(open_server: Running) -> None:
    whole = tones("wav", seconds=1)
    files = [("files", (f"{n}.wav", whole[: len(whole) // 2])) for n in range(50)]
    response = open_server.post("/transcribe", files=files)
    warnings = response.raw.headers.getlist("Warning")
    assert len(warnings) == uploads.MAX_WARNINGS
    assert "File 1 of 50" in warnings[0]
    assert "31 more warnings" in warnings[-1]


def test_the_audio_track_is_said_and_can_be_chosen(open_server: Running) -> None:
    film = {"file": ("film.mkv", TWO_TRACKS.read_bytes())}
    response = open_server.post(files=film)
    assert response.headers["Warning"] == '299 - "The file: audio track 2 of 2 was taken"'
    response = open_server.post(data={"track": "1"}, files=film)
    assert response.headers["Warning"] == '299 - "The file: audio track 1 of 2 was taken"'
    error = error_of(open_server.post(data={"track": "9"}, files=film))
    assert (error["param"], error["code"]) == ("track", "no_such_track")
    assert error["message"] == "The file has no track 9: it has 2 audio tracks."
    for wrong in ("0", "-3", "second"):
        refused = open_server.post(data={"track": wrong}, files=film)
        assert (refused.status_code, error_of(refused)["param"]) == (400, "track")


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


def test_clients_that_hang_up_are_not_transcribed() -> None:
    with running(busy=True) as server:
        first = in_background(lambda: server.post(timeout=0.4))
        until(lambda: server.service.scheduler.state().in_work == 1)
        second = in_background(lambda: server.post(timeout=0.2))
        until(lambda: server.service.scheduler.state().waiting == 1)
        for thread in (first, second):
            thread.join(60)
        until(lambda: server.service.scheduler.state().in_work == 0)
        until(lambda: server.service.scheduler.state().waiting == 0)
        assert len(server.engine.calls) == 1
        server.engine.go.set()
        assert server.post().json() == {"text": "1.0"}
