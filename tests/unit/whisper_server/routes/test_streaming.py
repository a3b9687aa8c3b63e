"""Server-sent events, as segments become ready."""

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from tests.support.pace import until
from tests.support.whisper_stand_in import Running, StandInEngine, running, wav
from whisper_server.engines.base import WindowInput, WindowResult
from whisper_server.errors import EngineFailed
from whisper_server.routes import streaming

FORMATS = ["json", "text", "verbose_json", "srt", "vtt"]
LONG = {"file": ("a.wav", wav(100.0))}
"""Four windows of at most thirty seconds."""


@dataclass
class StepwiseEngine(StandInEngine):
    """Decodes as many windows as it is allowed to, until it is `free`."""

    steps: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    free: threading.Event = field(default_factory=threading.Event)

    def decode(self, windows: Sequence[WindowInput]) -> list[WindowResult]:
        while not self.steps.acquire(timeout=0.02) and not self.free.is_set():
            pass
        return super().decode(windows)


@pytest.fixture
def stepwise() -> Iterator[tuple[Running, StepwiseEngine]]:
    engine = StepwiseEngine()
    with running(engine) as server:
        yield server, engine
        engine.free.set()


def post(server: Running, **more: Any) -> requests.Response:
    fields = {"stream": "true"} | more.pop("data", {})
    return server.post(data=fields, **({"files": LONG} | more))


def events_of(text: str) -> list[dict[str, Any]]:
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks)
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


def next_event(lines: Iterator[str]) -> dict[str, Any]:
    line = next(line for line in lines if line.startswith("data: "))
    event: dict[str, Any] = json.loads(line.removeprefix("data: "))
    return event


@pytest.mark.parametrize("response_format", FORMATS)
def test_the_pieces_joined_are_the_plain_answer(open_server: Running, response_format: str) -> None:
    fields = {"response_format": response_format}
    response = post(open_server, data=fields)
    assert response.headers["Content-Type"].startswith("text/event-stream")
    *events, done = events_of(response.text)
    deltas = [event["delta"] for event in events if event["type"] == "transcript.text.delta"]
    assert len(deltas) > 1
    plain = open_server.post(data=fields, files=LONG)
    if response_format in {"json", "verbose_json"}:
        expected = plain.json()["text"]
    else:
        expected = plain.text.removesuffix("\n") if response_format == "text" else plain.text
    assert "".join(deltas) == expected
    assert (done["type"], done["text"]) == ("transcript.text.done", expected)
    assert done["languages"] == [{"code": "en"}]


def test_verbose_json_streams_the_times_as_well(open_server: Running) -> None:
    fields = {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]}
    *events, done = events_of(post(open_server, data=fields).text)
    segments = [event for event in events if event["type"] == "transcript.text.segment"]
    plain = open_server.post(data=fields, files=LONG).json()
    assert [(s["start"], s["end"], s["text"]) for s in segments] == [
        (s["start"], s["end"], s["text"]) for s in plain["segments"]
    ]
    assert [segment["id"] for segment in segments] == [f"seg_{i}" for i in range(len(segments))]
    assert [word for segment in segments for word in segment["words"]] == plain["words"]
    assert all(segment["words"] for segment in segments)
    assert (done["language"], done["duration"]) == (plain["language"], plain["duration"])


def test_a_segment_is_sent_while_the_next_is_still_being_decoded(
    stepwise: tuple[Running, StepwiseEngine],
) -> None:
    server, engine = stepwise
    engine.steps.release()
    with post(server, stream=True) as response:
        lines = response.iter_lines(chunk_size=1, decode_unicode=True)
        assert next_event(lines)["type"] == "transcript.text.delta"
        assert server.service.scheduler.state().in_work == 1
        engine.free.set()
        types = [json.loads(line.removeprefix("data: "))["type"] for line in lines if line]
    assert types[-1] == "transcript.text.done"


def test_what_is_wrong_with_the_request_is_still_a_plain_status(open_server: Running) -> None:
    broken = post(open_server, files={"file": ("a.wav", b"no audio at all" * 50)})
    assert (broken.status_code, broken.json()["error"]["code"]) == (400, "invalid_audio")
    assert post(open_server, data={"model": "gpt-4o"}).status_code == 404


def test_what_breaks_later_is_an_event(
    stepwise: tuple[Running, StepwiseEngine], caplog: pytest.LogCaptureFixture
) -> None:
    server, engine = stepwise
    engine.steps.release()
    with post(server, stream=True) as response:
        lines = response.iter_lines(chunk_size=1, decode_unicode=True)
        next_event(lines)
        engine.failure = EngineFailed("CUDA is on fire")
        engine.free.set()
        error = next_event(lines)["error"]
        assert list(lines) == [""]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "server_error"
    assert "fire" not in error["message"]
    until(lambda: "fire" in caplog.text)
    until(lambda: server.service.scheduler.state().waiting == 0)


def test_who_hangs_up_in_the_middle_frees_the_work(
    stepwise: tuple[Running, StepwiseEngine],
) -> None:
    server, engine = stepwise
    engine.steps.release()
    with post(server, stream=True) as response:
        next_event(response.iter_lines(chunk_size=1, decode_unicode=True))
    until(lambda: server.service.scheduler.state().in_work == 0)
    until(lambda: server.service.scheduler.state().queued_windows == 0)
    engine.free.set()
    assert server.post().json() == {"text": "1.0"}
    assert len(engine.calls) <= 3  # the first, the one that was at work, and the new one
    assert not streaming._running


def test_who_waits_long_sees_that_somebody_is_there(
    stepwise: tuple[Running, StepwiseEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "KEEP_ALIVE_SECONDS", 0.05)
    server, engine = stepwise
    with post(server, stream=True) as response:
        assert response.status_code == 200
        lines = response.iter_lines(chunk_size=1, decode_unicode=True)
        assert [next(lines) for _ in range(4)] == [": still at work", ""] * 2
        engine.free.set()
        assert next_event(lines)["type"] == "transcript.text.delta"
        assert "transcript.text.done" in list(lines)[-2]


def test_nothing_said_is_nothing_but_the_end(open_server: Running) -> None:
    silence = {"file": ("a.wav", wav(0.0))}
    plain = open_server.post(files=silence)
    response = post(open_server, files=silence)
    assert response.status_code == plain.status_code
    if plain.ok:
        assert [event["type"] for event in events_of(response.text)] == ["transcript.text.done"]


def test_a_reader_who_dawdles_holds_no_place(open_server: Running) -> None:
    with post(open_server, stream=True) as response:
        until(lambda: open_server.service.scheduler.state().in_work == 0)
        assert open_server.post().ok
        assert events_of(response.text)[-1]["type"] == "transcript.text.done"


def test_translations_stream_too(open_server: Running) -> None:
    response = open_server.post("/v1/audio/translations", data={"stream": "1"})
    assert events_of(response.text)[-1]["type"] == "transcript.text.done"
    assert open_server.engine.calls[-1].task == "translate"
