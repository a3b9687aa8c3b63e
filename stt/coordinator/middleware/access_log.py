"""A line for each request that changed something or was refused; without secrets.

No query strings, no headers and no bodies: a path tells enough, and holds ids alone.
"""

import logging
import time

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stt.coordinator.authenticator import Person, address_of
from stt.coordinator.store.nodes import Node

logger = logging.getLogger(__name__)

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_MAX_PATH = 200


class AccessLog:
    """ASGI middleware. Reads, and what nodes do all day long, are logged at DEBUG."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            self._tell(scope, status, time.monotonic() - began)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        principal = scope["state"].get("principal")
        level = logging.DEBUG
        if status >= 500:
            level = logging.WARNING
        elif status >= 400 or not (isinstance(principal, Node) or scope["method"] in _SAFE_METHODS):
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
