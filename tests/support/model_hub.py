"""A model hub on this machine: one repository, whose files come slowly."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_COMMIT = "0123456789abcdef0123456789abcdef01234567"
_BLOCK_BYTES = 12_000_000  # the client counts ten million at a time


class ModelHub:
    """Serves a repository as the Hugging Face hub does; waits for `go` after the first block."""

    def __init__(self, files: dict[str, int]) -> None:
        self.files = files
        self.go = threading.Event()
        self.url = ""

    @contextmanager
    def running(self) -> Iterator["ModelHub"]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self._answer(has_body=False)

            def do_GET(self) -> None:
                self._answer(has_body=True)

            def _answer(self, *, has_body: bool) -> None:
                path = self.path.partition("?")[0]
                name = path.rpartition("/")[2]
                if "/resolve/" in path and name in hub.files:
                    self._file(name, hub.files[name], has_body=has_body)
                    return
                found: object = {
                    "id": "owner/model", "sha": _COMMIT,
                    "siblings": [{"rfilename": name} for name in hub.files],
                }  # fmt: skip
                if "/tree/" in path:
                    found = [
                        {"type": "file", "path": name, "size": size, "oid": f"{size:040x}"}
                        for name, size in hub.files.items()
                    ]
                body = json.dumps(found).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _file(self, name: str, size: int, *, has_body: bool) -> None:
                self.send_response(200)
                self.send_header("ETag", f'"{name}-{size}"')
                self.send_header("X-Repo-Commit", _COMMIT)
                self.send_header("Content-Length", str(size))
                self.end_headers()
                while has_body and size > 0:
                    self.wfile.write(b" " * min(size, _BLOCK_BYTES))
                    size -= _BLOCK_BYTES
                    if size > 0:
                        hub.go.wait(60)

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            self.url = f"http://127.0.0.1:{server.server_port}"
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            try:
                yield self
            finally:
                self.go.set()
                server.shutdown()
