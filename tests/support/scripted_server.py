"""A whisper server that answers by script, over real HTTP: a stand-in for servers that misbehave.

It recognises nothing: tests of real words use the real server.
"""

import contextlib
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import av


@dataclass(frozen=True)
class Answer:
    """One HTTP response.

    `cut` closes the connection after that many bytes of the body; `drip_seconds` pass before each
    byte of it.
    """

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    cut: int | None = None
    drip_seconds: float = 0.0


def heard(text: str, start: float = 0.0, end: float = 1.0) -> dict[str, Any]:
    segment = {"start": start, "end": end, "text": text, "avg_logprob": -0.1, "no_speech_prob": 0.0}
    return {"text": text, "language": "en", "segments": [segment]}


def refusal(status: int, message: str, **fields: Any) -> Answer:
    return Answer(status, {"error": {"message": message, "type": "invalid", **fields}})


class ScriptedServer:
    """Answers each transcription with `script(call number, upload bytes)`.

    Canaries, by which workers find out whether a server is broken, get `canary`, and are counted
    apart.
    """

    def __init__(
        self,
        script: Callable[[int, bytes], Answer],
        ready: Answer | None = None,
        canary: Answer | None = None,
    ) -> None:
        self.script = script
        self.ready = ready or Answer(body={"status": "ready", "capacity": 4})
        self.canary = canary or Answer(body=heard("anything"))
        self.model_answer: Callable[[str], Answer] = lambda path: Answer(
            404, {"detail": "Not Found"}
        )
        """What `GET /v1/models/NAME` answers."""
        self.asked: list[str] = []
        """The paths of all GET requests."""
        self.canaries = 0
        self.calls: list[float] = []
        """When each transcription was asked for, on time.monotonic()."""
        self.most_at_once = 0
        self.uploads: list[bytes] = []
        self.forms: list[bytes] = []
        self.paths: list[str] = []
        self._at_once = 0
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    @contextlib.contextmanager
    def running(self) -> Iterator[Self]:
        thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()
            thread.join()

    def _transcribe(self, path: str, form: bytes) -> Answer:
        upload = file_part(form)
        if b'filename="canary.ogg"' in form:
            with self._lock:
                self.canaries += 1
            time.sleep(self.canary.delay_seconds)
            return self.canary
        with self._lock:
            self.calls.append(time.monotonic())
            self.forms.append(form.replace(upload, b""))
            self.paths.append(path)
            self.uploads.append(upload)
            number = len(self.calls)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            answer = self.script(number, upload)
            time.sleep(answer.delay_seconds)
            return answer
        finally:
            with self._lock:
                self._at_once -= 1

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with server._lock:
                    server.asked.append(self.path)
                is_model = self.path.startswith("/v1/models")
                self._send(server.model_answer(self.path) if is_model else server.ready)

            def do_POST(self) -> None:
                form = self.rfile.read(int(self.headers["Content-Length"]))
                self._send(server._transcribe(self.path, form))

            def _send(self, answer: Answer) -> None:
                raw = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body)
                body = raw if isinstance(raw, bytes) else raw.encode()
                with contextlib.suppress(ConnectionError):
                    self.send_response(answer.status)
                    for name, value in answer.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    for part in _parts(body[: answer.cut], answer.drip_seconds):
                        self.wfile.write(part)
                if answer.cut is not None:
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        return Handler


class GatedServer(ScriptedServer):
    """Answers once its `gate` is set."""

    def __init__(self, capacity: int) -> None:
        self.gate = threading.Event()
        super().__init__(self._wait_for_gate, Answer(body={"capacity": capacity}))

    def _wait_for_gate(self, number: int, upload: bytes) -> Answer:
        self.gate.wait(180)
        return Answer(body=heard("at last"))


def _parts(body: bytes, drip_seconds: float) -> Iterator[bytes]:
    if not drip_seconds:
        yield body
        return
    for byte in body:
        time.sleep(drip_seconds)
        yield bytes([byte])


def file_part(form: bytes) -> bytes:
    boundary = form.split(b"\r\n", 1)[0]
    for part in form.split(boundary):
        if b'name="file"' in part:
            return part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
    return b""


def seconds_of(upload: bytes) -> float:
    """Length of an uploaded recording, as FFmpeg decodes it."""
    samples = 0
    with av.open(io.BytesIO(upload), "r") as container:
        rate = container.streams.audio[0].rate
        for frame in container.decode(audio=0):
            samples += frame.samples
    return samples / rate


def always(text: str = "hello") -> Callable[[int, bytes], Answer]:
    return lambda number, upload: Answer(body=heard(text))
