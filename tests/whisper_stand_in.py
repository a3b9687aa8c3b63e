"""The server around an engine that only counts, for tests of everything but the hearing."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import requests
import uvicorn

from whisper_server.app import create_app
from whisper_server.catalogue import Model
from whisper_server.engines.base import Options, Samples, Segment, ShouldStop, Transcription
from whisper_server.errors import EngineStopped
from whisper_server.presets import EnginePlan
from whisper_server.scheduler import Scheduler
from whisper_server.service import Service
from whisper_server.settings import Settings

TRANSCRIPTIONS = "/v1/audio/transcriptions"


@dataclass
class StandInEngine:
    """Hears the number of seconds; waits for `go`; breaks where a test wants it to."""

    go: threading.Event = field(default_factory=threading.Event)
    may_load: threading.Event = field(default_factory=threading.Event)
    calls: list[Options] = field(default_factory=list)
    failure: Exception | None = None
    load_failure: Exception | None = None
    multilingual: bool = True

    def load(self) -> None:
        self.may_load.wait(10)
        if self.load_failure:
            raise self.load_failure

    def can_translate(self) -> bool:
        return self.multilingual

    def transcribe(
        self, samples: Samples, options: Options, should_stop: ShouldStop
    ) -> Transcription:
        self.calls.append(options)
        if self.failure:
            raise self.failure
        while not self.go.wait(0.005):
            if should_stop():
                raise EngineStopped("told to")
        seconds = len(samples) / 16_000
        segment = Segment(0.0, seconds, f" {seconds:.1f}", 0, (1,), 0.0, -0.1, 1.0, 0.0)
        return Transcription("en", 1.0, (("en", 1.0),), seconds, (segment,))


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
    engine: StandInEngine | None = None, loaded: bool = True, **variables: object
) -> Iterator[Running]:
    engine = engine or StandInEngine()
    if loaded:
        engine.go.set()
        engine.may_load.set()
    variables = {"MAX_QUEUE": 2, "WHISPER_MODEL": "base"} | variables
    settings = Settings(_env_file=None, **variables)  # type: ignore[call-arg, arg-type]
    plan = EnginePlan("base", "cpu", "int8", 1, 1)
    scheduler = Scheduler(plan.worker_count, settings.max_queue)
    service = Service(settings, Model("base"), plan, engine, scheduler)
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
            thread.join(10)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass within ten seconds"
        time.sleep(0.01)


def wav(seconds: float) -> bytes:
    """Silence as 16-bit PCM."""
    data = np.zeros(int(seconds * 16_000), np.int16).tobytes()
    sizes = [(36 + len(data)).to_bytes(4, "little"), len(data).to_bytes(4, "little")]
    form = bytes.fromhex("10000000 0100 0100 803e0000 007d0000 0200 1000")
    return b"RIFF" + sizes[0] + b"WAVEfmt " + form + b"data" + sizes[1] + data
