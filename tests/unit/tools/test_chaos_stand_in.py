"""The chaos tool's scripted whisper server over HTTP; as a process where it dies."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from stt.media.audio import encode_flac, encode_opus
from tests.support.mongo_process import free_port
from tests.support.speech import opus_tone
from tools.chaos_lab import barcode
from tools.chaos_lab.history import EventLog, read_events
from tools.chaos_lab.stand_in import StandIn
from tools.chaos_lab.stand_in_words import MODEL
from tools.chaos_lab.voices import voice_in

POISONS = {7: "refused", 8: "fault", 9: "killer"}


@dataclass
class Running:
    url: str
    log: Path

    def post(self, upload: bytes, worker: str = "worker-1.1", **fields: str) -> requests.Response:
        return requests.post(
            f"{self.url}/v1/audio/transcriptions",
            data=[("timestamp_granularities[]", "word"), *fields.items()],
            files={"file": ("chunk.opus", upload)},
            headers={"Authorization": f"Bearer {worker}"},
            timeout=60,
        )

    def turn(self, mood: str, times: int | None = None) -> dict[str, Any]:
        told = {"mood": mood, "times": times}
        answer: dict[str, Any] = requests.put(f"{self.url}/mood", json=told, timeout=60).json()
        return answer

    def events(self) -> list[tuple[int | None, str]]:
        if not self.log.exists():
            return []
        return [(event["chunk"], event["outcome"]) for event in read_events(self.log)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    log = tmp_path / "calls.jsonl"
    with StandIn(0, "stand-in-1", EventLog(log, "stand-in-1"), POISONS) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        yield Running(f"http://127.0.0.1:{http.server_address[1]}", log)
        http.shutdown()
        thread.join()


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[tuple[Running, subprocess.Popen[str]]]:
    """One that may die, in a process of its own."""
    (tmp_path / "poisons.json").write_text(json.dumps(POISONS))
    port = free_port()
    command = [
        sys.executable, "-m", "tools.chaos_lab.stand_in", "--port", str(port),
        "--log", str(tmp_path / "calls.jsonl"), "--poisons", str(tmp_path / "poisons.json"),
        "--pace", "0", "0", "0", "0",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "listening" in process.stdout.readline()
        yield Running(f"http://127.0.0.1:{port}", tmp_path / "calls.jsonl"), process
        process.kill()


def joined(*numbers: int) -> bytes:
    return encode_flac(np.concatenate([barcode.encode(number) for number in numbers]))


def test_it_names_each_chunk_of_a_sequence_within_its_second(server: Running) -> None:
    heard = server.post(joined(3, 4)).json()
    (event, _) = list(read_events(server.log))
    assert [s["text"] for s in heard["segments"]] == [
        f"chunk {number} call {event['call']}" for number in (3, 4)
    ]
    assert [int(s["start"]) for s in heard["segments"]] == [0, 1]
    assert [int(s["end"]) for s in heard["segments"]] == [0, 1]
    assert heard["model"] == MODEL
    assert " ".join(word["word"] for word in heard["words"]) == heard["text"]


def test_it_names_the_voices_of_a_sequence_where_it_is_asked_to(server: Running) -> None:
    heard = server.post(joined(0, 1, 2, 4), speakers="true").json()
    assert [segment["speaker"] for segment in heard["segments"]] == ["A", "A", "B", "A"]
    told = {one["id"]: (voice_in(one["embedding"]), one["seconds"]) for one in heard["speakers"]}
    assert told == {"A": (0, pytest.approx(2.4)), "B": (1, pytest.approx(0.8))}
    assert "speakers" not in server.post(joined(0)).json()


def test_it_notes_whose_call_it_was_and_what_became_of_it(server: Running) -> None:
    server.post(encode_opus(barcode.encode(5)), worker="worker-3.2")
    (event,) = read_events(server.log)
    assert event["worker"] == "worker-3.2"
    assert (event["chunk"], event["outcome"]) == (5, "heard")
    assert event["t"] <= event["until"]


def test_one_poisonous_chunk_decides_over_its_sequence(server: Running) -> None:
    assert server.post(joined(1, 7, 2)).status_code == 400
    assert server.post(joined(7, 8)).status_code == 500
    assert {outcome for _, outcome in server.events()} == {"refused", "fault"}


def test_a_killer_takes_the_process_down(mortal: tuple[Running, subprocess.Popen[str]]) -> None:
    server, process = mortal
    with pytest.raises(requests.ConnectionError):
        server.post(joined(1, 9))
    assert process.wait(60) == 1
    assert server.events() == [(1, "killer"), (9, "killer")]


@pytest.mark.parametrize(("mood", "status"), [("500", 500), ("503", 503), ("key", 401)])
def test_in_a_mood_it_answers_whatever_it_is_sent_with_a_status(
    server: Running, mood: str, status: int
) -> None:
    server.turn(mood)
    assert server.post(joined(1)).status_code == status
    assert server.post(opus_tone(1.5)).status_code == status  # a canary as well
    assert server.turn("good") == {"mood": mood, "met": 2}
    assert server.post(opus_tone(1.5)).json()["text"] == "something else something else"


def test_a_call_that_hung_is_noted_once_with_its_chunk_when_it_ends(server: Running) -> None:
    server.turn("hang")
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(server.post, joined(1))
        while not server.events():
            assert not answer.done()
        server.turn("good")
        assert answer.result(60).status_code == 200
    assert server.events() == [(None, "hang"), (1, "heard")]


@pytest.mark.parametrize("mood", ["half", "html"])
def test_in_a_mood_it_answers_what_is_no_transcript(server: Running, mood: str) -> None:
    server.turn(mood)
    answer = server.post(joined(1))
    assert answer.status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        answer.json()


def test_a_mood_may_be_for_some_answers_only(server: Running) -> None:
    server.turn("500", times=1)
    assert [server.post(joined(1)).status_code for _ in range(3)] == [500, 200, 200]


def test_it_dies_in_the_middle_of_an_answer(
    mortal: tuple[Running, subprocess.Popen[str]],
) -> None:
    server, process = mortal
    server.turn("dies")
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        server.post(joined(1))
    assert process.wait(60) == 1
    assert server.events() == [(1, "dies")]
