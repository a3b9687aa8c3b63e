"""How fast a server says that it is alive."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tools.bench_lab.health import HealthWatch


def test_health_is_asked_by_another_process() -> None:
    asked = threading.Event()

    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            asked.set()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        watch = HealthWatch(f"http://127.0.0.1:{server.server_port}")
        with watch:
            assert asked.wait(60)
        server.shutdown()
    figures = watch.figures()
    assert figures["failed"] == 0
    assert figures["p99_ms"]
    assert watch.asked
