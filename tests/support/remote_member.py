"""A node that has joined a coordinator, and something else that answers in its place."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bson import ObjectId

from stt.domain.claim import Claim, ClaimRules
from stt.domain.transcript import Segment, Transcript, Word
from stt.remote.client import CoordinatorClient
from stt.remote.membership import Membership
from stt.remote.queue import RemoteQueue
from stt.store.database import Database
from tests.support.coordinator_app import CoordinatorThread
from tests.support.queue_builder import chunk
from tests.support.remote_claims import node_settings

HELLO = Transcript(
    (Segment(0.5, 1.5, "hello", -0.2, 0.01, (Word(0.5, 1.5, "hello", 0.9),), "en"),),
    "en", 0.98, "m", silent_speech_seconds=2.5,
)  # fmt: skip


@contextlib.contextmanager
def impostor(answer: Callable[[str], tuple[int, str]]) -> Iterator[tuple[str, list[str]]]:
    """Something else that answers HTTP: its URL, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            status, body = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def queue_at(
    url: str, rules: ClaimRules, *, key: str = "key", long_poll: bool = False
) -> RemoteQueue:
    """Return the queue of a node that has not joined there."""
    membership = Membership(CoordinatorClient(url, key), node_settings("mac", rules))
    return RemoteQueue(membership, "mac_1", long_poll=long_poll)


class Member:
    """A node that has joined, and its queue."""

    def __init__(
        self,
        coordinator: CoordinatorThread,
        rules: ClaimRules,
        name: str = "mac",
        *,
        long_poll: bool = False,
    ) -> None:
        self.id, self.key = coordinator.join(name)
        self.worker = f"{self.id}_1"
        self.session = coordinator.node(self.key)
        client = CoordinatorClient(coordinator.url, self.key)
        self.membership = Membership(client, node_settings(self.id, rules))
        self.queue = RemoteQueue(self.membership, self.worker, long_poll=long_poll)

    def claim(self, database: Database, chunk_id: ObjectId) -> Claim:
        claim = self.queue.claim(chunk(database, chunk_id))
        assert claim is not None
        return claim
