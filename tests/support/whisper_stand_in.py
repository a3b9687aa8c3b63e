"""The server around an engine that only counts, for tests of everything but the text."""

import contextlib
import socket
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import requests
import uvicorn

from tests.support.pace import until
from whisper_server.app import create_app
from whisper_server.audio_windows import Span
from whisper_server.engines.base import (
    SAMPLE_RATE,
    Features,
    Options,
    Samples,
    Segment,
    ShouldStop,
    Transcription,
    WindowInput,
    WindowResult,
)
from whisper_server.model_names import Model
from whisper_server.model_service import Service
from whisper_server.presets import EnginePlan, Shape
from whisper_server.settings import Settings

TRANSCRIPTIONS = "/v1/audio/transcriptions"


@dataclass
class StandInEngine:
    """Transcribes each window as its length; waits for `go`; fails where a test wants it to.

    `failure` is raised by every call, `refuses` decides by the windows of a call what to raise.
    `verdicts` are the average log probabilities of a window's attempts, the last one for ever.
    """

    go: threading.Event = field(default_factory=threading.Event)
    may_load: threading.Event = field(default_factory=threading.Event)
    calls: list[Options] = field(default_factory=list)
    batches: list[list[WindowInput]] = field(default_factory=list)
    failure: Exception | None = None
    refuses: Callable[[Sequence[WindowInput]], Exception | None] = lambda windows: None
    load_failure: Exception | None = None
    multilingual: bool = True
    languages: tuple[str, ...] = ("en", "de")
    loads: int = 0
    unloads: int = 0
    verdicts: tuple[float, ...] = (-0.1,)
    window_seconds: float = 30.0

    def load(self) -> None:
        self.may_load.wait(60)
        if self.load_failure:
            raise self.load_failure
        self.loads += 1

    def unload(self) -> None:
        self.unloads += 1

    def can_translate(self) -> bool:
        return self.multilingual

    def knows(self, language: str) -> bool:
        return language in self.languages

    def features(self, samples: Samples) -> Features:
        return samples

    def batch_key(self, window: WindowInput) -> Hashable:
        return window.options.prompt, window.temperature

    def decode(self, windows: Sequence[WindowInput]) -> list[WindowResult]:
        self.calls += [window.options for window in windows]
        self.batches.append(list(windows))
        error = self.failure or self.refuses(windows)
        if error:
            raise error
        self.go.wait(60)
        return [self._result(window) for window in windows]

    def transcribe(
        self, samples: Samples, options: Options, should_stop: ShouldStop
    ) -> Transcription:
        seconds = len(samples) / SAMPLE_RATE
        entry = WindowInput(samples, seconds, options, options.temperature)
        (result,) = self.decode([entry])
        return Transcription(
            result.language, 1.0, ((result.language, 1.0),), seconds, result.segments
        )

    def _result(self, window: WindowInput) -> WindowResult:
        language = window.options.language or "en"
        probabilities = () if window.options.language else ((language, 1.0),)
        tries = sum(1 for batch in self.batches for other in batch if _same(other, window))
        verdict = self.verdicts[min(tries, len(self.verdicts)) - 1]
        numbers = (window.temperature, verdict, 1.0, 0.0)
        text = f" {window.seconds:.1f}"
        segment = Segment(0.0, window.seconds, text, 0, (1,), *numbers)
        return WindowResult(language, probabilities, (segment,), *numbers)


def _same(one: WindowInput, other: WindowInput) -> bool:
    return one.features is other.features


class Patched:
    """CTranslate2's model, some methods of which are replaced: its class takes no patches."""

    def __init__(self, model: Any, **methods: Any) -> None:
        self._model = model
        self.__dict__.update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def text_of(found: WindowResult) -> str:
    return "".join(segment.text for segment in found.segments).strip()


def yes_after(questions: int) -> Callable[[], bool]:
    asked = iter([False] * questions)
    return lambda: next(asked, True)


def everything(samples: Samples, longest_seconds: float) -> list[Span]:
    """In place of voice detection: what tests upload is silence, and counts as speech."""
    return [Span(0, len(samples))]


def stand_in_plan(worker_count: int = 1, batch_size: int = 1, streams: int = 1) -> EnginePlan:
    shape = Shape(streams=streams, threads=1, batch_size=batch_size, reason="of a test")
    return EnginePlan("base", "faster-whisper", "cpu", "int8", shape, (0,), worker_count)


@dataclass
class Running:
    url: str
    engine: StandInEngine
    service: Service
    load_failed: threading.Event

    def post(self, path: str = TRANSCRIPTIONS, **more: object) -> requests.Response:
        files = {"file": ("a.wav", wav(1.0))}
        return requests.post(self.url + path, **({"files": files, "timeout": 20} | more))  # type: ignore[arg-type]


@contextlib.contextmanager
def running(
    engine: StandInEngine | None = None,
    loaded: bool = True,
    busy: bool = False,
    **variables: object,
) -> Iterator[Running]:
    """Run a server; a `busy` one hangs in its first batch until `engine.go` is set."""
    engine = engine or StandInEngine()
    if loaded:
        engine.may_load.set()
    if loaded and not busy:
        engine.go.set()
    variables = {"MAX_QUEUE": 2, "WHISPER_MODEL": "base"} | variables
    settings = Settings(_env_file=None, **variables)  # type: ignore[call-arg, arg-type]
    plan = stand_in_plan(worker_count=settings.worker_count or 1)
    service = Service(settings, Model("base"), plan, [engine], everything)
    load_failed = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as sock:
        app = create_app(service, on_load_failure=load_failed.set)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        try:
            until(lambda: server.started and (service.ready or not loaded))
            yield Running(url, engine, service, load_failed)
        finally:
            engine.go.set()
            engine.may_load.set()
            server.should_exit = True
            thread.join(60)


def wav(seconds: float) -> bytes:
    """Silence as 16-bit PCM."""
    data = np.zeros(int(seconds * 16_000), np.int16).tobytes()
    sizes = [(36 + len(data)).to_bytes(4, "little"), len(data).to_bytes(4, "little")]
    form = bytes.fromhex("10000000 0100 0100 803e0000 007d0000 0200 1000")
    return b"RIFF" + sizes[0] + b"WAVEfmt " + form + b"data" + sizes[1] + data


def error_of(response: requests.Response) -> dict[str, str]:
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    error: dict[str, str] = body["error"]
    return error
