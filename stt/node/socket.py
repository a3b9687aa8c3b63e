"""The node's WebSocket to its coordinator, which brings settings, tests and cancellations.

```
coordinator → node   settings · test · cancel · removed
node → coordinator   progress · tested
```

A node works without it as well. Where a proxy blocks WebSockets, heartbeats bring the settings, the
fence keeps lost results from being written, and only tests fail.
"""

import contextlib
import json
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Protocol

from pydantic import ValidationError
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, reconnect

from stt.domain.node import Job
from stt.errors import SttError
from stt.remote.membership import Membership
from stt.remote.messages import NodeSettings
from stt.system.http import read_json
from stt.system.net import is_loopback

logger = logging.getLogger(__name__)

REMOVED = 4410
TEST_SECONDS = 12.0
"""The timeout of a test; the coordinator waits for a little longer."""

_PROGRESS_SECONDS = 2.0
_OPEN_SECONDS = 10.0
_CLOSE_SECONDS = 1.0
_MAX_MESSAGE_BYTES = 1024 * 1024
_MIN_WAIT_SECONDS = 1.0
_MAX_WAIT_SECONDS = 60.0
_GONE = 410
_NODE_REMOVED = b'"node_removed"'
_MAX_DETAIL_LENGTH = 500


class SocketListener(Protocol):
    """What the socket needs of the node; it calls from threads of its own. See `Activity`."""

    def jobs(self) -> tuple[Job, ...]: ...
    def check_claims(self) -> None: ...
    def test(self, timeout_seconds: float) -> str: ...


class CoordinatorSocket:
    """Keeps the WebSocket open between `start()` and `stop()`."""

    def __init__(self, membership: Membership, listener: Callable[[], SocketListener]) -> None:
        scheme, _, rest = membership.client.url.partition("://")
        self._node_id = membership.settings.id
        self._url = f"{'wss' if scheme == 'https' else 'ws'}://{rest}/ws/worker/{self._node_id}"
        self._membership = membership
        self._listener = listener
        self._stop = threading.Event()
        self._connection: ClientConnection | None = None
        self._was_logged = False
        self._thread = threading.Thread(target=self._run, name="coordinator-socket", daemon=True)

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        connection = self._connection
        if connection is not None:
            connection.close()
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        wait_seconds = _MIN_WAIT_SECONDS
        while not self._stop.is_set():
            opened_at = time.monotonic()
            try:
                self._keep_open()
            except Exception as error:  # whatever it is, the node works without the socket
                if _means_removal(error):
                    self._membership.rejection = self._membership.client.removal()
                    return
                self._log(error)
            if time.monotonic() - opened_at > _MAX_WAIT_SECONDS:
                wait_seconds = _MIN_WAIT_SECONDS
            self._stop.wait(wait_seconds * random.uniform(0.5, 1.0))
            wait_seconds = min(wait_seconds * 2, _MAX_WAIT_SECONDS)

    def _log(self, error: Exception) -> None:
        """Log a failed connection at level INFO once, until one was opened."""
        if isinstance(error, ConnectionClosed):
            logger.debug("socket: %s", error)
        elif isinstance(error, (WebSocketException, OSError, ValueError)):
            logger.log(
                logging.DEBUG if self._was_logged else logging.INFO,
                "No live channel to the coordinator (%s): heartbeats do, tries again now and then",
                str(error) or type(error).__name__,
            )
            self._was_logged = True
        else:
            logger.error("socket", exc_info=error)

    def _keep_open(self) -> None:
        """Exchange messages until `stop()`. Raises what ended the connection."""
        with _Connection(
            self._url,
            additional_headers={"Authorization": f"Bearer {self._membership.client.key}"},
            proxy=None if is_loopback(self._url) else True,
            open_timeout=_OPEN_SECONDS,
            close_timeout=_CLOSE_SECONDS,
            compression=None,
            max_size=_MAX_MESSAGE_BYTES,
        ) as connection:
            self._connection = connection
            try:
                self._was_logged = False
                self._exchange(connection)
            finally:
                self._connection = None

    def _exchange(self, connection: ClientConnection) -> None:
        sent: tuple[Job, ...] = ()
        due_at = time.monotonic()
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                self._handle(connection, connection.recv(max(0.0, due_at - time.monotonic())))
            if time.monotonic() < due_at:
                continue
            due_at = time.monotonic() + _PROGRESS_SECONDS
            jobs = self._listener().jobs()
            if jobs or sent:
                self._send(connection, type="progress", jobs=[asdict(job) for job in jobs])
            sent = jobs

    def _handle(self, connection: ClientConnection, text: str | bytes) -> None:
        """Act on a message; one of an unknown type may come from a later version."""
        try:
            message = read_json(text)
        except ValueError:
            message = None
        kind = message.get("type") if isinstance(message, Mapping) else None
        if kind == "settings":
            with contextlib.suppress(ValidationError):
                settings = NodeSettings.model_validate(message)
                if settings.id == self._node_id:
                    self._membership.settings = settings
        elif kind == "cancel":
            self._listener().check_claims()
        elif kind == "test":
            # In a thread of its own, since new settings must not wait for the end of a test.
            test_id = str(message.get("id"))
            threading.Thread(
                target=self._test, args=(connection, test_id), name="server-test", daemon=True
            ).start()

    def _test(self, connection: ClientConnection, test_id: str) -> None:
        began = time.monotonic()
        try:
            is_ok, detail = True, self._listener().test(TEST_SECONDS)
        except SttError as error:
            is_ok, detail = False, str(error)
        milliseconds = round((time.monotonic() - began) * 1_000, 1)
        answer = {"id": test_id, "ok": is_ok, "milliseconds": milliseconds}
        with contextlib.suppress(ConnectionClosed):
            self._send(connection, type="tested", detail=detail[:_MAX_DETAIL_LENGTH], **answer)

    def _send(self, connection: ClientConnection, **message: Any) -> None:
        connection.send(json.dumps(message))


class _Connection(reconnect):
    """A connection that follows no redirect: a node obeys its coordinator's address alone."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def _means_removal(error: Exception) -> bool:
    """Return whether the coordinator closed or refused the socket of a node that it removed."""
    if isinstance(error, ConnectionClosed):
        return error.rcvd is not None and error.rcvd.code == REMOVED
    # A proxy may answer 410 as well.
    return (
        isinstance(error, InvalidStatus)
        and error.response.status_code == _GONE
        and _NODE_REMOVED in (error.response.body or b"")
    )
