"""A server that sends bytes of the test's choice, for answers that no HTTP library would give."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterable, Iterator


class RawServer:
    """Answers each connection with the parts of `answer`, whatever was asked.

    It waits `pause_seconds` before each part after the first, and ends the connection after the
    last; `requests` are the first bytes of what came.
    """

    def __init__(self, answer: Iterable[bytes], pause_seconds: float = 0.0) -> None:
        self.requests: list[bytes] = []
        self._answer = answer
        self._pause_seconds = pause_seconds
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @contextlib.contextmanager
    def running(self) -> Iterator["RawServer"]:
        threading.Thread(target=self._accept, daemon=True).start()
        try:
            yield self
        finally:
            self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self.requests.append(connection.recv(65_536))
            for number, part in enumerate(self._answer):
                time.sleep(self._pause_seconds if number else 0.0)
                connection.sendall(part)


def answer_of(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """Return a whole HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body
