"""A whisper server in a process of its own that a loud recording kills, and that comes back.

    python -m tests.support.mortal_server PORT

`Mortal` starts it, and another a moment after each death, as a supervisor would. The next process
is loaded before, and listens once it reads a line.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources

import numpy as np

from stt.media.audio import decode
from tests.support.mongo_process import free_port
from tests.support.scripted_server import file_part, heard

CANARY = resources.files("stt.whisper").joinpath("canary.ogg").read_bytes()
_LOUD = 10_000
_AWAY_SECONDS = 0.3
_CALL_SECONDS = 0.2


class Mortal:
    """The server and its supervisor; `deaths` counts."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.deaths = 0
        self._stop = threading.Event()
        self._up = threading.Event()

    @contextlib.contextmanager
    def running(self) -> Iterator["Mortal"]:
        supervisor = threading.Thread(target=self._supervise)
        supervisor.start()
        try:
            assert self._up.wait(180)
            yield self
        finally:
            self._stop.set()
            supervisor.join()

    def _supervise(self) -> None:
        server, spare = self._load(), self._load()
        while not self._stop.is_set():
            self._listen(server)
            self._up.set()
            while server.poll() is None and not self._stop.wait(0.02):
                pass
            if self._stop.is_set():
                break
            self.deaths += 1
            server.communicate()
            server, spare = spare, self._load()
            self._stop.wait(_AWAY_SECONDS)
        for process in (server, spare):
            process.kill()
            process.communicate()

    def _load(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.support.mortal_server", str(self.port)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    @staticmethod
    def _listen(process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("listen\n")
        process.stdin.flush()
        process.stdout.readline()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send({"status": "ready", "capacity": 4, "instance": str(os.getpid())})

    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers["Content-Length"]))
        recording = file_part(form)
        is_loud = recording != CANARY and np.abs(decode(recording)).max() > _LOUD
        time.sleep(_CALL_SECONDS)
        if is_loud:
            os._exit(1)  # every connection breaks, not only this one
        time.sleep(_CALL_SECONDS)  # long enough to be met by a death
        self._send(heard("alive"))

    def _send(self, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    sys.stdin.readline()
    with ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), _Handler) as server:
        sys.stdout.write("listening\n")
        sys.stdout.flush()
        server.serve_forever(0.02)
