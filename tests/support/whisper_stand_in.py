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
from fastapi import FastAPI

from tests.support.pace import until
from whisper_server.app import create_app
from whisper_server.audio_windows import Span
from whisper_server.engines.base import (
    SAMPLE_RATE,
    AlignedWord,
    EncodedWindow,
    Features,
    LanguageSlice,
    Options,
    Samples,
    Segment,
    ShouldStop,
    Transcription,
    WindowInput,
    WindowResult,
)
from whisper_server.engines.language_slices import slice_times
from whisper_server.model_names import Model
from whisper_server.model_service import Service
from whisper_server.presets import EnginePlan, Shape
from whisper_server.settings import Settings
from whisper_server.speakers.diarizer import Diarizer

TRANSCRIPTIONS = "/v1/audio/transcriptions"


@dataclass
class StandInEngine:
    """Transcribes each window as its length; waits for `go`; fails where a test wants it to.

    `failure` is raised by every call, `refuses` decides by the windows of a call what to raise.
    `verdicts` are the average log probabilities of a window's attempts, the last one for ever.
    `spoken` returns the language of a slice of a window. Encoding waits for nothing.
    """

    go: threading.Event = field(default_factory=threading.Event)
    may_load: threading.Event = field(default_factory=threading.Event)
    calls: list[Options] = field(default_factory=list)
    batches: list[list[WindowInput]] = field(default_factory=list)
    encoded: list[list[WindowInput]] = field(default_factory=list)
    failure: Exception | None = None
    refuses: Callable[[Sequence[WindowInput]], Exception | None] = lambda windows: None
    load_failure: Exception | None = None
    multilingual: bool = True
    languages: tuple[str, ...] = ("en", "de")
    loads: int = 0
    unloads: int = 0
    verdicts: tuple[float, ...] = (-0.1,)
    spoken: Callable[[Samples], str] = lambda samples: "en"
    window_seconds: float = 30.0
    decodes_on_cpu: bool = False

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

    def encode(self, windows: Sequence[WindowInput]) -> list[EncodedWindow]:
        self.encoded.append(list(windows))
        self._fail(windows)
        return [self._encoded(window) for window in windows]

    def decode(self, windows: Sequence[WindowInput]) -> list[WindowResult]:
        self.calls += [window.options for window in windows]
        self.batches.append(list(windows))
        self._fail(windows)
        self.go.wait(60)
        return [self._result(window) for window in windows]

    def transcribe(
        self, samples: Samples, options: Options, should_stop: ShouldStop
    ) -> Transcription:
        seconds = len(samples) / SAMPLE_RATE
        entry = WindowInput(samples, seconds, options, options.temperature)
        (found,) = self.decode([entry])
        numbers = (found.temperature, found.avg_logprob, 1.0, 0.0)
        segment = Segment(0.0, seconds, found.words[0].text, 0, (1,), *numbers)
        return Transcription(found.language, 1.0, ((found.language, 1.0),), seconds, (segment,))

    def _fail(self, windows: Sequence[WindowInput]) -> None:
        error = self.failure or self.refuses(windows)
        if error:
            raise error

    def _encoded(self, window: WindowInput) -> EncodedWindow:
        slices = [
            LanguageSlice(start, end, {self.spoken(samples): 1.0})
            for start, end in slice_times(window.seconds)
            if len(samples := _between(window.features, start, end))
        ]
        return EncodedWindow(window.features, tuple(slices))

    def _result(self, window: WindowInput) -> WindowResult:
        tries = sum(1 for batch in self.batches for other in batch if _same(other, window))
        verdict = self.verdicts[min(tries, len(self.verdicts)) - 1]
        word = AlignedWord(f" {window.seconds:.1f}", (1,), 0.0, min(1.0, window.seconds), 1.0)
        language = window.options.language or "en"
        return WindowResult(language, (word,), window.temperature, verdict, 1.0, 0.0)


def _between(samples: Samples, start: float, end: float) -> Samples:
    return samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]


def _same(one: WindowInput, other: WindowInput) -> bool:
    if one.sound is not None:
        return one.sound is other.sound
    return one.features is other.features


class Patched:
    """CTranslate2's model, some methods of which are replaced: its class takes no patches."""

    def __init__(self, model: Any, **methods: Any) -> None:
        self._model = model
        self.__dict__.update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


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
    app: FastAPI

    def post(self, path: str = TRANSCRIPTIONS, **more: object) -> requests.Response:
        files = {"file": ("a.wav", wav(1.0))}
        return requests.post(self.url + path, **({"files": files, "timeout": 20} | more))  # type: ignore[arg-type]


@contextlib.contextmanager
def running(
    engine: StandInEngine | None = None,
    loaded: bool = True,
    busy: bool = False,
    diarizer: Diarizer | None = None,
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
    service = Service(settings, Model("base"), plan, [engine], everything, diarizer=diarizer)
    load_failed = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as sock:
        app = create_app(service, on_load_failure=load_failed.set)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        try:
            until(lambda: server.started and (service.ready or not loaded))
            yield Running(url, engine, service, load_failed, app)
        finally:
            engine.go.set()
            engine.may_load.set()
            server.should_exit = True
            thread.join(60)


def language_by_level(samples: Samples) -> str:
    """Return the language that the `levels` of a `wav` stand for: en for 0, de for 1, fr for 2.

    They are so quiet that they count as silence.
    """
    return ("en", "de", "fr")[round(float(np.median(samples)) * 32768)]


def wav(seconds: float, *levels: int) -> bytes:
    """Silence as 16-bit PCM, or so many seconds at each of some levels."""
    parts = [np.full(int(seconds * 16_000), level, np.int16) for level in levels or (0,)]
    data = np.concatenate(parts).tobytes()
    sizes = [(36 + len(data)).to_bytes(4, "little"), len(data).to_bytes(4, "little")]
    form = bytes.fromhex("10000000 0100 0100 803e0000 007d0000 0200 1000")
    return b"RIFF" + sizes[0] + b"WAVEfmt " + form + b"data" + sizes[1] + data


def error_of(response: requests.Response) -> dict[str, str]:
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    error: dict[str, str] = body["error"]
    return error
