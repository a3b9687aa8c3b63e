"""A 503 for requests that outlive the grace of a shutdown, in place of a traceback."""

import asyncio
import threading

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stt.coordinator.errors import error_body


class Shutdown:
    """ASGI middleware: uvicorn cancels such a request, and would log an error for it.

    A client that retries reaches another coordinator, or this one after its restart.
    """

    def __init__(self, app: ASGIApp, closing: threading.Event) -> None:
        self._app = app
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def send_and_note(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except asyncio.CancelledError:
            if not self._closing.is_set():
                raise
            if scope["type"] == "http" and not has_begun:
                message = "This coordinator is being stopped: ask again."
                response = error_body(503, "stopping", message, {"Retry-After": "2"})
                await response(scope, receive, send)
