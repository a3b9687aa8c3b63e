"""The pages' WebSocket, as a page opens and reads it."""

import json
import time
from contextlib import suppress
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.support.coordinator_app import PEOPLES_KEY, CoordinatorThread

SOON_SECONDS = 60.0


def opened(coordinator: CoordinatorThread, key: str = PEOPLES_KEY) -> ClientConnection:
    return connect(
        f"{coordinator.ws_url}/ws/dashboard",
        additional_headers={"Authorization": f"Bearer {key}"},
        compression=None,
        proxy=None,
    )


def next_of(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """Return the next message of this type; drop others."""
    deadline = time.monotonic() + SOON_SECONDS
    while True:
        message: dict[str, Any] = json.loads(socket.recv(deadline - time.monotonic()))
        if message["type"] == kind:
            return message


def end_of(socket: ClientConnection) -> int | None:
    """Receive everything; return the code that the socket was closed with."""
    deadline = time.monotonic() + 3 * SOON_SECONDS
    with suppress(ConnectionClosed):
        while True:
            socket.recv(deadline - time.monotonic())
    return socket.close_code
