"""Many callers at once on one real server that decodes their speech in common batches."""

import copy
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from tests.support.pace import until
from tests.support.paths import SAMPLES
from tests.support.speech import BIRTHDAY, INVOICE, MEETING, MILK, write_wav
from tests.support.whisper_process import WhisperProcess, running_server
from tests.support.whisper_stand_in import TRANSCRIPTIONS

DIARY = SAMPLES / "voice-diary.mp3"
RECORDINGS = sorted({*SAMPLES.glob("*.mp3"), *SAMPLES.glob("*.opus")} - {DIARY})
CALLERS = 8
FRAME_SECONDS = 0.02
"""Word times are whole frames of Whisper's encoder. Where two frames are as likely, the rounding of
the batch decides between them."""


@pytest.fixture(scope="module")
def server() -> Iterator[WhisperProcess]:
    """One stream of large batches, as on a GPU."""
    with running_server(streams=1, cpu_threads=1, batch_size=4, worker_count=16) as process:
        yield process


def transcribed(server: WhisperProcess, file: Path, **fields: Any) -> dict[str, Any]:
    data = {"response_format": "verbose_json", "timestamp_granularities[]": ["segment", "word"]}
    with file.open("rb") as opened:
        response = requests.post(
            server.url + TRANSCRIPTIONS, files={"file": opened}, data=data | fields, timeout=120
        )
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def assert_same(body: dict[str, Any], other: dict[str, Any], name: str) -> None:
    """Everything is equal, but for word times that differ by one frame."""
    words, others = all_words(body), all_words(other)
    for word, same in zip(words, others, strict=True):
        for side in ("start", "end"):
            assert word.pop(side) == pytest.approx(same.pop(side), abs=1.5 * FRAME_SECONDS), name
    assert body == other, name


def all_words(body: dict[str, Any]) -> list[dict[str, Any]]:
    segments = body["segments"]
    return [*body["words"], *(word for segment in segments for word in segment.get("words", ()))]


def batch_sizes(server: WhisperProcess) -> tuple[float, float]:
    """Windows decoded so far, and the calls that it took."""
    (instance,) = requests.get(server.url + "/system", timeout=60).json()["instances"]
    return instance["windows"], instance["batches"]


def test_what_is_heard_does_not_depend_on_who_else_is_there(server: WhisperProcess) -> None:
    """Token for token, with times and probabilities: the arithmetic treats each row of a batch by
    itself."""
    alone = {file: transcribed(server, file) for file in RECORDINGS}
    windows, batches = batch_sizes(server)
    with ThreadPoolExecutor(CALLERS) as pool:
        crowd = list(pool.map(lambda file: (file, transcribed(server, file)), RECORDINGS * 2))
    windows, batches = (
        now - before for now, before in zip(batch_sizes(server), (windows, batches), strict=True)
    )
    assert windows / batches > 1.5, "they did not share batches"
    for file, body in crowd:
        assert_same(copy.deepcopy(body), copy.deepcopy(alone[file]), file.name)


def test_eight_callers_are_served_when_one_of_them_is_killed(
    server: WhisperProcess, tmp_path: Path
) -> None:
    sentences = [MILK, INVOICE, MEETING, BIRTHDAY] * 2
    files = [
        write_wav(np.tile(sentence.samples(), 2), tmp_path / f"{number}.wav")
        for number, sentence in enumerate(sentences)
    ]
    alone = [transcribed(server, file) for file in files]
    upload = (
        "import requests, sys; requests.post(sys.argv[1], files={'file': open(sys.argv[2], 'rb')})"
    )
    with ThreadPoolExecutor(CALLERS) as pool:
        victim = subprocess.Popen(
            [sys.executable, "-c", upload, server.url + TRANSCRIPTIONS, str(DIARY)]
        )
        calls = [pool.submit(transcribed, server, file) for file in files[1:]]
        wait_for_work(server)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        for call, expected in zip(calls, alone[1:], strict=True):
            assert_same(call.result(), expected, "beside one that is killed")
    ready = wait_until_idle(server)
    assert ready["waiting"] == 0


def state_of(server: WhisperProcess) -> dict[str, Any]:
    ready: dict[str, Any] = requests.get(server.url + "/ready", timeout=60).json()
    return ready


def wait_for_work(server: WhisperProcess) -> None:
    until(lambda: state_of(server)["in_flight"])


def wait_until_idle(server: WhisperProcess) -> dict[str, Any]:
    until(lambda: not state_of(server)["in_flight"])
    return state_of(server)
