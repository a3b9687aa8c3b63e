"""How each request of an ASGI application ends."""

import time
from abc import ABC, abstractmethod

from starlette.types import ASGIApp, Message, Receive, Scope, Send

CLIENT_GONE = 499
"""What counts as the status where a response never began."""
_NO_ROUTE = "none"


class RequestEnd(ABC):
    """ASGI middleware, the outermost, that calls `ended` at the end of each HTTP request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    @abstractmethod
    def ended(self, scope: Scope, status: int | None, seconds: float) -> None:
        """Take note of a request; `status` is None if its response never began."""

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
            self.ended(scope, status, time.monotonic() - began_at)


def route_of(scope: Scope) -> str:
    """Return the template of a request's route; for one that matched none, not its path.

    Each path would be one more label of metrics.
    """
    return getattr(scope.get("route"), "path", _NO_ROUTE)
