"""Count every request, and log each one that changed something or failed, without secrets.

No query strings, headers or bodies are logged: a path says enough, and holds ids alone.
"""

import logging
import time

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stt.coordinator.authenticator import Person, address_of
from stt.coordinator.metrics import Metrics
from stt.domain.node import Node
from stt.serving.senders import SAFE_METHODS

logger = logging.getLogger(__name__)

_MAX_PATH = 200
_CLIENT_DISCONNECTED = 499
_NO_ROUTE = "none"
"""The route of a request that matched none; its path would be one more label each."""


class AccessLog:
    """ASGI middleware, the outermost. Reads, and what nodes do all day long, are logged at DEBUG.

    A response that never began is logged as a 500 and counted as a 499.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_at, status = time.monotonic(), None

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            seconds = time.monotonic() - began_at
            route = getattr(scope.get("route"), "path", _NO_ROUTE)
            counted = status or _CLIENT_DISCONNECTED
            self._metrics.request_ended(route, scope["method"], counted, seconds)
            _log(scope, status or 500, seconds)


def _log(scope: Scope, status: int, seconds: float) -> None:
    principal = scope["state"].get("principal")
    level = logging.DEBUG
    if status >= 500:
        level = logging.WARNING
    elif status >= 400 or not (isinstance(principal, Node) or scope["method"] in SAFE_METHODS):
        level = logging.INFO
    logger.log(
        level,
        "%s %s %s %d in %.0f ms, request %s",
        _name(scope, principal),
        scope["method"],
        scope["path"][:_MAX_PATH],
        status,
        seconds * 1_000,
        scope["state"].get("request_id"),
    )


def _name(scope: Scope, principal: object) -> str:
    if isinstance(principal, Node):
        return f"node {principal.id}"
    address = address_of(HTTPConnection(scope))
    return f"person at {address}" if isinstance(principal, Person) else f"unknown at {address}"
