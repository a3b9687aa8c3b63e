"""A coordinator for tests: the real application in uvicorn, on a free port of this machine."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import requests
from fastapi import FastAPI
from pydantic import SecretStr

from stt.coordinator.context import Coordinator
from stt.coordinator.server import uvicorn_config
from stt.serving.server import BoundedServer
from stt.settings import Settings
from stt.store.database import Database
from tests.support.mongo_process import free_port

PEOPLES_KEY = "open-sesame-for-people"
_START_SECONDS = 180.0


class CoordinatorThread:
    """A coordinator that answers at `url`; `ws_url` for WebSockets."""

    def __init__(self, coordinator: Coordinator, port: int = 0) -> None:
        self.coordinator = coordinator
        self._socket = socket.create_server(("127.0.0.1", port or free_port()))
        host, port = self._socket.getsockname()
        self.url = f"http://{host}:{port}"
        self.ws_url = f"ws://{host}:{port}"
        config = uvicorn_config(coordinator)
        assert isinstance(config.app, FastAPI)
        self.app = config.app
        self._server = BoundedServer(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="coordinator", daemon=True
        )

    def start(self) -> None:
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError("the coordinator did not start")
            time.sleep(0.01)

    def stop(self) -> None:
        self.coordinator.closing.set()
        self._server.should_exit = True
        self._thread.join(_START_SECONDS)
        self._socket.close()

    def person(self) -> "KeyedSession":
        """Send the people's key: `person().get("/status")`."""
        return KeyedSession(self.url, PEOPLES_KEY)

    def node(self, key: str) -> "KeyedSession":
        """Send a node's key."""
        return KeyedSession(self.url, key)

    def anonymous(self) -> "KeyedSession":
        """Send no key."""
        return KeyedSession(self.url, None)

    def join(self, name: str = "a node") -> tuple[str, str]:
        """Add a node by hand; return its id and key."""
        with self.person() as person:
            answer = person.post("/api/nodes", json={"name": name})
        answer.raise_for_status()
        return answer.json()["node"]["id"], answer.json()["api_key"]


class KeyedSession(requests.Session):
    """A session whose addresses are paths of one coordinator."""

    def __init__(self, url: str, key: str | None) -> None:
        super().__init__()
        self.trust_env = False
        self._url = url
        if key is not None:
            self.headers["Authorization"] = f"Bearer {key}"

    def request(  # type: ignore[override]
        self, method: str, path: str, **options: object
    ) -> requests.Response:
        options.setdefault("timeout", 30)
        options.setdefault("allow_redirects", False)
        return super().request(method, self._url + path, **options)  # type: ignore[arg-type]


def logged_in(running: CoordinatorThread) -> KeyedSession:
    """Return a browser's session that has logged in with the people's key."""
    session = running.anonymous()
    answer = session.post("/login", json={"key": PEOPLES_KEY})
    assert answer.status_code == 204
    return session


def settings_for(data_dir: Path, **changed: object) -> Settings:
    """Return settings of a coordinator; `changed` by the names of their fields."""
    given: dict[str, object] = {
        "coordinator_key": SecretStr(PEOPLES_KEY),
        "data_dir": data_dir,
        **changed,
    }
    return Settings(**given)  # type: ignore[arg-type]


@contextlib.contextmanager
def running_coordinator(
    database: Database, data_dir: Path, *, port: int = 0, **changed: object
) -> Iterator[CoordinatorThread]:
    """Run one with the people's key PEOPLES_KEY; `changed` are settings by their fields' names.

    `with running_coordinator(database, tmp_path, lease_seconds=2) as coordinator:`
    """
    coordinator = Coordinator(database, settings_for(data_dir, **changed))
    thread = CoordinatorThread(coordinator, port)
    thread.start()
    try:
        yield thread
    finally:
        thread.stop()
