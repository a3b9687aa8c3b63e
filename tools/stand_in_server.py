"""A whisper server that takes a fixed time per call and hears nothing: for timing the fleet alone.

    python tools/stand_in_server.py --seconds 1 --slots 8 --port 8090

Speaks just enough of the real server's HTTP: `/ready` and `/v1/audio/transcriptions`. Says on
`/calls` when it worked, on its own clock, so that a benchmark can tell how idle it was.
"""

import argparse
import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = json.dumps(
    {
        "text": "hello",
        "language": "en",
        "segments": [{"start": 0.0, "end": 1.0, "text": "hello"}],
    }
).encode()


class StandIn(ThreadingHTTPServer):
    """Works on `slots` calls at once, `seconds` each; further calls wait in line."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, seconds: float, slots: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.seconds = seconds
        self.slots = slots
        self.turns = threading.BoundedSemaphore(slots)
        self.calls: list[tuple[float, float]] = []
        """Start and end of each call's work, on time.monotonic()."""

    def work(self) -> None:
        with self.turns:
            started = time.monotonic()
            time.sleep(self.seconds)
            self.calls.append((started, time.monotonic()))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: StandIn

    def do_GET(self) -> None:
        ready = {"status": "ready", "capacity": self.server.slots}
        self._send(json.dumps(self.server.calls if self.path == "/calls" else ready).encode())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.work()
        self._send(ANSWER)

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="time per call")
    parser.add_argument("--slots", type=int, default=8, help="calls worked on at once")
    parser.add_argument("--port", type=int, default=8090)
    arguments = parser.parse_args()
    with StandIn(arguments.port, arguments.seconds, arguments.slots) as server:
        print(f"listening on http://127.0.0.1:{arguments.port}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
