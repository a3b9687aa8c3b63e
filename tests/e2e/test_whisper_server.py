"""A real server process with real weights, real speech, real signals."""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests

from tests.support.pace import scaled
from tests.support.speech import BIRTHDAY, INVOICE, MILK, words, write_wav
from tests.support.whisper_process import WhisperProcess, run_server, running_server, started_server
from tests.support.whisper_stand_in import TRANSCRIPTIONS, wav

STAYS_SECONDS = 0.5
"""How far a timestamp may be from the audio."""


@pytest.fixture(scope="module")
def server() -> Iterator[WhisperProcess]:
    with running_server(worker_count=2) as process:
        yield process


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MILK.write(tmp_path_factory.mktemp("speech") / "speech.wav")


@pytest.fixture(scope="module")
def long_speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty minutes of it, so that a transcription is still at work when a test looks."""
    return write_wav(np.tile(MILK.samples(), 330), tmp_path_factory.mktemp("speech") / "long.wav")


def post(server: WhisperProcess, file: Path, **more: Any) -> requests.Response:
    with file.open("rb") as opened:
        return requests.post(
            server.url + TRANSCRIPTIONS, files={"file": opened}, **({"timeout": 60} | more)
        )


def in_background(server: WhisperProcess, file: Path) -> tuple[threading.Thread, list[int]]:
    """A request in a thread of its own, and the list that its status will be in."""
    statuses: list[int] = []

    def call() -> None:
        statuses.append(post(server, file).status_code)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread, statuses


def wait_for(server: WhisperProcess, seconds: float = 180, **wanted: int) -> None:
    """Until `/ready` shows these counts."""
    deadline = time.monotonic() + seconds
    while True:
        seen = requests.get(server.url + "/ready", timeout=60).json()
        if seen | wanted == seen:
            return
        assert time.monotonic() < deadline, f"wanted {wanted}, last seen {seen}"
        time.sleep(0.05)


def test_the_start_says_what_is_loaded(server: WhisperProcess) -> None:
    name = requests.get(server.url + "/ready", timeout=60).json()["model"]
    assert f"Model {name} is loaded after" in server.log
    assert "on cpu as int8" in server.log


def test_speech_comes_back_as_json(server: WhisperProcess, speech: Path) -> None:
    response = post(server, speech, data={"model": "whisper-1"})
    assert response.headers["Content-Type"] == "application/json"
    body = response.json()
    assert list(body) == ["text"]
    assert words(body["text"]) == words(MILK.text)


def test_speech_comes_back_as_text(server: WhisperProcess, speech: Path) -> None:
    response = post(server, speech, data={"response_format": "text"})
    assert response.headers["Content-Type"].startswith("text/plain")
    assert words(response.text) == words(MILK.text)
    assert response.text.endswith(".\n")


@pytest.mark.parametrize(
    ("form", "kind", "head"),
    [("srt", "text/plain", "1\n00:00:0"), ("vtt", "text/vtt", "WEBVTT\n\n00:00:0")],
)
def test_speech_comes_back_as_subtitles(
    server: WhisperProcess, speech: Path, form: str, kind: str, head: str
) -> None:
    response = post(server, speech, data={"response_format": form})
    assert response.headers["Content-Type"].startswith(kind)
    assert response.text.startswith(head)
    assert "Do not forget" in response.text


def test_words_and_segments_have_times_that_fit_the_audio(
    server: WhisperProcess, speech: Path
) -> None:
    fields = {
        "response_format": "verbose_json",
        "timestamp_granularities[]": ["word", "segment"],
        "language": "english",
    }
    body = post(server, speech, data=fields).json()
    assert (body["task"], body["language"]) == ("transcribe", "en")
    assert words(body["text"]) == words(MILK.text)
    assert words(" ".join(word["word"] for word in body["words"])) == words(MILK.text)
    times = [time for word in body["words"] for time in (word["start"], word["end"])]
    assert times == sorted(times)
    assert times[0] < STAYS_SECONDS
    assert 0 <= body["duration"] - times[-1] < STAYS_SECONDS
    assert body["segments"][0]["start"] < STAYS_SECONDS
    assert body["segments"][-1]["end"] <= body["duration"]


def test_the_language_is_detected_when_nobody_names_it(
    server: WhisperProcess, speech: Path
) -> None:
    body = post(server, speech, data={"response_format": "verbose_json"}).json()
    assert body["language"] == "en"
    assert body["language_probability"] > 0.5


def test_several_files_are_heard_as_one_recording(server: WhisperProcess, tmp_path: Path) -> None:
    first = INVOICE.write(tmp_path / "first.wav")
    second = BIRTHDAY.write(tmp_path / "second.wav")
    files = [("files", (path.name, path.read_bytes())) for path in (first, second)]
    body = requests.post(server.url + "/transcribe", files=files, timeout=60).json()
    text = " ".join(segment["text"] for segment in body["segments"])
    assert words(text) == words(INVOICE.text) + words(BIRTHDAY.text)
    assert body["language"] == body["top_language_probs"][0][0] == "en"
    assert body["segments"][-1]["end"] <= body["duration"]


def test_silence_yields_no_words(server: WhisperProcess, tmp_path: Path) -> None:
    silent = tmp_path / "silent.wav"
    silent.write_bytes(wav(10))
    assert post(server, silent).json() == {"text": ""}
    assert post(server, silent, data={"response_format": "srt"}).text == ""


def test_what_is_no_audio_is_refused_by_the_real_process(
    server: WhisperProcess, tmp_path: Path
) -> None:
    for content, code in ((b"", "empty_file"), (b"plain text\n" * 99, "invalid_audio")):
        (tmp_path / "bad").write_bytes(content)
        response = post(server, tmp_path / "bad")
        assert (response.status_code, response.json()["error"]["code"]) == (400, code)


def test_no_page_shows_it_in_a_frame_and_no_other_name_reaches_it(server: WhisperProcess) -> None:
    for path, status in (("/docs", 200), ("/jobs", 200), ("/nothing", 404)):
        answer = requests.get(server.url + path, timeout=60)
        assert answer.status_code == status
        assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    rebound = requests.get(server.url + "/jobs", headers={"Host": "evil.example"}, timeout=60)
    assert rebound.status_code == 421


def test_health_answers_at_once_while_every_worker_is_busy(
    server: WhisperProcess, long_speech: Path
) -> None:
    """Then the clients leave, and the workers come free again."""
    files = {"file": long_speech.read_bytes()}
    request = requests.Request("POST", server.url + TRANSCRIPTIONS, files=files).prepare()
    address = urlsplit(server.url)
    with ExitStack() as clients:
        for _ in range(2):
            client = clients.enter_context(
                closing(HTTPConnection(address.hostname or "", address.port, timeout=60))
            )
            client.request("POST", address.path + TRANSCRIPTIONS, request.body, request.headers)
        wait_for(server, in_flight=2)
        waits = []
        for _ in range(20):
            started = time.monotonic()
            assert requests.get(server.url + "/health", timeout=60).ok
            waits.append(time.monotonic() - started)
        assert requests.get(server.url + "/ready", timeout=60).json()["in_flight"] == 2
        assert sorted(waits)[len(waits) // 2] < scaled(0.5), waits
    wait_for(server, in_flight=0, waiting=0)


def test_sigterm_ends_a_busy_server_within_seconds(long_speech: Path) -> None:
    with running_server(worker_count=1) as server:
        busy, busy_status = in_background(server, long_speech)
        wait_for(server, in_flight=1)
        waiting, waiting_status = in_background(server, long_speech)
        wait_for(server, waiting=1)
        server.signal(signal.SIGTERM)
        assert server.wait(120) == 0
        for thread in (busy, waiting):
            thread.join(60)
        assert busy_status == waiting_status == [503]
        assert "Traceback" not in server.log


def test_a_second_ctrl_c_ends_a_busy_server_at_once(long_speech: Path) -> None:
    with running_server() as server, ThreadPoolExecutor() as pool:
        call = pool.submit(post, server, long_speech)
        wait_for(server, in_flight=1)
        server.signal(signal.SIGINT)
        time.sleep(scaled(0.3))  # two at the same instant are one
        server.signal(signal.SIGINT)
        assert server.wait(scaled(5)) == 130
        assert "Traceback" not in server.log
        assert isinstance(call.exception(60), requests.ConnectionError)


def test_an_upload_that_outlives_a_shutdown_is_told_so() -> None:
    with running_server() as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(
                f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100000\r\n"
                "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n".encode()
            )
            wait_for(server, waiting=1)
            server.signal(signal.SIGTERM)
            answer = connection.recv(4096)
        assert server.wait(120) == 0
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert "Traceback" not in server.log


def test_ctrl_c_ends_a_loading_server_with_130() -> None:
    with started_server() as server:
        server.wait_until_alive()
        server.signal(signal.SIGINT)
        assert server.wait(120) == 130
        assert "Traceback" not in server.log


def test_a_taken_port_is_one_clear_line(server: WhisperProcess) -> None:
    port = server.url.rpartition(":")[2]
    ended = run_server("--port", port, "--model", "base")
    assert ended.returncode == 3
    assert ended.stderr.count("\n") == 1
    assert f"Port {port} on 127.0.0.1 is in use" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--port", "abc"], 2, "argument --port"),
        (["--worker-count", "0"], 2, "argument --worker-count"),
        (["--no-such-flag"], 2, "unrecognized arguments"),
        (["--model", "nope"], 3, "No model 'nope'"),
        (["--port", "0", "--model", "medium"], 3, "cannot be fetched"),
    ],
)
def test_a_wrong_start_says_what_to_do(arguments: list[str], code: int, words: str) -> None:
    ended = run_server(*arguments)
    assert ended.returncode == code, ended.stderr
    assert words in ended.stderr.strip().splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_a_wrong_variable_is_a_configuration_error() -> None:
    ended = run_server(WORKER_COUNT="many")
    assert ended.returncode == 3
    assert "WORKER_COUNT" in ended.stderr


def test_help_shows_examples_and_names_the_sample_model() -> None:
    ended = run_server("--help")
    assert ended.returncode == 0
    for part in ("examples:", "whisper-server --model tiny.en", "sample-model", "[WHISPER_MODEL"):
        assert part in ended.stdout
