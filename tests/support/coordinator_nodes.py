"""Two coordinators of one database, and a node that has joined them."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bson import ObjectId
from websockets.sync.client import ClientConnection, connect

from stt.domain.claim import ClaimRules
from stt.store.claims import MongoClaims
from stt.store.database import Database
from tests.support.coordinator_app import CoordinatorThread, KeyedSession
from tests.support.queue_builder import chunk

RULES = ClaimRules(lease_seconds=300, max_attempts=3, max_expirations=5)


@dataclass(frozen=True)
class Fleet:
    """Two coordinators, and what they share."""

    database: Database
    first: CoordinatorThread
    second: CoordinatorThread


@dataclass(frozen=True)
class TheNode:
    """A node that has joined, and what it can say."""

    fleet: Fleet
    id: str
    session: KeyedSession
    key: str

    @property
    def path(self) -> str:
        return f"/api/nodes/{self.id}"

    @property
    def worker(self) -> str:
        return f"{self.id}_77"

    def heartbeat(self, **received: object) -> Any:
        body = {"worker_id": self.worker, "pid": 77, "slots": 2, **received}
        answer = self.session.post(f"{self.path}/heartbeat", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def claims(self, chunk_id: ObjectId, worker: str | None = None) -> None:
        claims = MongoClaims(self.fleet.database, worker or self.worker, RULES)
        assert claims.claim(chunk(self.fleet.database, chunk_id)) is not None

    @contextmanager
    def channel(self, at: CoordinatorThread | None = None) -> Iterator[ClientConnection]:
        """Open the WebSocket, and receive its first message: the settings."""
        with open_channel(at or self.fleet.first, self.id, self.key) as channel:
            assert receive(channel, "settings")["id"] == self.id
            yield channel


def open_channel(at: CoordinatorThread, node_id: str, key: str | None) -> ClientConnection:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    url = f"{at.ws_url}/ws/worker/{node_id}"
    return connect(url, additional_headers=headers, proxy=None, close_timeout=1)


def receive(channel: ClientConnection, kind: str, seconds: float = 10) -> Any:
    """Return the next message of this kind; drop others."""
    until = time.monotonic() + seconds
    while True:
        message = json.loads(channel.recv(timeout=until - time.monotonic()))
        if message["type"] == kind:
            return message


def send(channel: ClientConnection, message: object) -> None:
    channel.send(json.dumps(message))


def shown(person: KeyedSession, node: TheNode) -> Any:
    answer = person.get(node.path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer: Any, status: int, code: str) -> str:
    """Return the message of an error of this kind."""
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    message: str = answer.json()["error"]["message"]
    return message
