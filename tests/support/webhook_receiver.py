"""A real HTTP server that takes webhooks: it fails, hangs and comes back by script, and logs."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

HANG = 0
"""In place of a status: no answer, for as long as the sender waits."""


@dataclass(frozen=True)
class Call:
    """A request as it came in, and what it was answered."""

    path: str
    headers: dict[str, str]
    body: bytes
    status: int
    at: float = field(default_factory=time.time)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]


class WebhookReceiver:
    """Answers the n-th request with the n-th status; further ones with 200."""

    def __init__(
        self, *statuses: int, headers: dict[str, str] | None = None, port: int = 0
    ) -> None:
        self.statuses = list(statuses)
        self.headers = headers or {}
        self.calls: list[Call] = []
        self._gone = threading.Event()
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook/s3cret-path"

    @contextlib.contextmanager
    def running(self) -> Iterator[Self]:
        thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            self._gone.set()
            self._http.shutdown()
            self._http.server_close()
            thread.join()

    @property
    def accepted(self) -> list[Call]:
        return [call for call in self.calls if 200 <= call.status < 300]

    @property
    def types(self) -> list[str]:
        """The types of the events that it accepted, in their order."""
        return [call.json["type"] for call in self.accepted]

    def wait_for(self, condition: Callable[[list[Call]], bool], seconds: float = 120.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition(self.calls):
            assert time.monotonic() < deadline, [(c.event_id, c.status) for c in self.calls]
            time.sleep(0.02)

    def _take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        with self._lock:
            status = self.statuses.pop(0) if self.statuses else 200
            self.calls.append(Call(path, headers, body, status))
        return status


def _handler(receiver: WebhookReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = receiver._take(self.path, headers, body)
            if status == HANG:
                receiver._gone.wait(60)
                return
            with contextlib.suppress(ConnectionError):
                self.send_response(status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return Handler
