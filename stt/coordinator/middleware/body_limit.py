"""A limit to what is read into memory; uploads go to disk and have their own limits."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BYTES = 1024 * 1024
MAX_TRANSCRIPT_BYTES = 8 * 1024 * 1024
"""The words of ten hours. Parsing blocks all other requests, and a body made for that takes some
50 ms a megabyte: so no more is allowed than is needed."""
MAX_UNAUTHENTICATED_BYTES = 64 * 1024
_STREAMED = ("/upload",)
_WITH_TRANSCRIPT = ("/tasks/complete",)


class BodyLimit:
    """ASGI middleware. Raises out of `receive()`, whatever Content-Length says.

    It raises an HTTPException, since FastAPI takes any other for a body that cannot be parsed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _STREAMED:
            await self._app(scope, receive, send)
            return
        limit = MAX_TRANSCRIPT_BYTES if scope["path"] in _WITH_TRANSCRIPT else MAX_BYTES
        if "principal" not in scope["state"]:
            limit = MAX_UNAUTHENTICATED_BYTES
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        announced = max((int(length) for length in lengths if length.isdigit()), default=0)
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if max(received, announced) > limit:
                too_large = f"The request is larger than the {limit // 1024} kB taken here."
                raise HTTPException(413, too_large)
            return message

        await self._app(scope, counted, send)
