"""The node's own WebSocket to its coordinator: settings, tests and cancellations come by it.

```
coordinator → node   settings · test · cancel · removed
node → coordinator   progress · tested
```

It is a comfort. Where something in between lets no WebSocket pass, heartbeats bring the settings,
the fence keeps what is lost from being written, and only tests fail.
"""

import contextlib
import json
import logging
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from pydantic import ValidationError
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from stt.domain.node import Job
from stt.errors import SttError
from stt.remote.client import CoordinatorClient
from stt.remote.messages import NodeSettings
from stt.system.net import is_loopback

logger = logging.getLogger(__name__)

REMOVED = 4410
TEST_SECONDS = 12.0
"""A test has to end within it: the coordinator waits little longer."""

_PROGRESS_SECONDS = 2.0
_OPEN_SECONDS = 10.0
_CLOSE_SECONDS = 1.0
_MIN_REST_SECONDS = 1.0
_MAX_REST_SECONDS = 60.0
_GONE = 410
_NODE_REMOVED = b'"node_removed"'
_MAX_DETAIL = 500


class SocketListener(Protocol):
    """What the channel tells and asks. Each call comes from a thread of the channel's."""

    def settings_changed(self, settings: NodeSettings) -> None: ...
    def claims_were_cancelled(self) -> None: ...
    def was_removed(self) -> None: ...
    def jobs(self) -> Sequence[Job]: ...
    def test(self, limit_seconds: float) -> str:
        """Raises SttError with what is wrong."""
        ...


class CoordinatorSocket:
    """Keeps the WebSocket open between `start()` and `stop()`."""

    def __init__(
        self, client: CoordinatorClient, node_id: str, key: str, listener: SocketListener
    ) -> None:
        scheme, _, rest = client.url.partition("://")
        self._url = f"{'wss' if scheme == 'https' else 'ws'}://{rest}/ws/worker/{node_id}"
        self._key = key
        self._listener = listener
        self._stop = threading.Event()
        self._connection: ClientConnection | None = None
        self._was_logged = False
        self._thread = threading.Thread(target=self._run, name="channel", daemon=True)

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
        rest_seconds = _MIN_REST_SECONDS
        while not self._stop.is_set():
            opened_at = time.monotonic()
            try:
                self._keep_open()
            except ConnectionClosed as closed:
                if closed.rcvd is not None and closed.rcvd.code == REMOVED:
                    self._listener.was_removed()
                    return
                logger.debug("channel: %s", closed)
            except InvalidStatus as refused:
                # Something in between may answer 410 as well.
                is_gone = refused.response.status_code == _GONE
                if is_gone and _NODE_REMOVED in (refused.response.body or b""):
                    self._listener.was_removed()
                    return
                self._log_once(f"answered {refused.response.status_code}")
            except (WebSocketException, OSError, ValueError) as error:
                self._log_once(str(error) or type(error).__name__)
            except Exception:  # whatever it is, the node works without
                logger.exception("channel")
            if time.monotonic() - opened_at > _MAX_REST_SECONDS:
                rest_seconds = _MIN_REST_SECONDS
            self._stop.wait(rest_seconds * random.uniform(0.5, 1.0))
            rest_seconds = min(rest_seconds * 2, _MAX_REST_SECONDS)

    def _log_once(self, reason: str) -> None:
        level = logging.DEBUG if self._was_logged else logging.INFO
        self._was_logged = True
        logger.log(
            level,
            "No live channel to the coordinator (%s): heartbeats do, tries again now and then",
            reason,
        )

    def _keep_open(self) -> None:
        """Until it breaks; raises what tells why."""
        with connect(
            self._url,
            additional_headers={"Authorization": f"Bearer {self._key}"},
            proxy=None if is_loopback(self._url) else True,
            open_timeout=_OPEN_SECONDS,
            close_timeout=_CLOSE_SECONDS,
        ) as connection:
            self._connection = connection
            try:
                self._was_logged = False
                self._exchange(connection)
            finally:
                self._connection = None

    def _exchange(self, connection: ClientConnection) -> None:
        told: tuple[Job, ...] = ()
        due = time.monotonic()
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                self._handle(connection, connection.recv(max(0.0, due - time.monotonic())))
            if time.monotonic() < due:
                continue
            due = time.monotonic() + _PROGRESS_SECONDS
            jobs = tuple(self._listener.jobs())
            if jobs or told:
                self._send(connection, type="progress", jobs=[asdict(job) for job in jobs])
            told = jobs

    def _handle(self, connection: ClientConnection, text: str | bytes) -> None:
        """What it has no name for, a later coordinator may mean well."""
        try:
            message = json.loads(text)
        except ValueError:
            message = None
        kind = message.get("type") if isinstance(message, Mapping) else None
        if kind == "settings":
            with contextlib.suppress(ValidationError):
                self._listener.settings_changed(NodeSettings.model_validate(message))
        elif kind == "cancel":
            self._listener.claims_were_cancelled()
        elif kind == "test":
            # It may take long, and settings must not wait behind it.
            test_id = str(message.get("id"))
            threading.Thread(
                target=self._test, args=(connection, test_id), name="test", daemon=True
            ).start()

    def _test(self, connection: ClientConnection, test_id: str) -> None:
        began = time.monotonic()
        try:
            is_ok, detail = True, self._listener.test(TEST_SECONDS)
        except SttError as error:
            is_ok, detail = False, str(error)
        milliseconds = round((time.monotonic() - began) * 1_000, 1)
        answer = {"id": test_id, "ok": is_ok, "milliseconds": milliseconds}
        with contextlib.suppress(ConnectionClosed):
            self._send(connection, type="tested", detail=detail[:_MAX_DETAIL], **answer)

    def _send(self, connection: ClientConnection, **message: Any) -> None:
        connection.send(json.dumps(message))
