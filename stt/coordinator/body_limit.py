"""Bounds what is read into memory: every body but an upload, which goes to disk and has its own
limits."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BYTES = 32 * 1024 * 1024
"""A transcript has 16 MB at most, as its document has."""
MAX_BYTES_OF_STRANGERS = 64 * 1024
_STREAMED = ("/upload",)


class BodyLimit:
    """ASGI middleware. Raises out of `receive()`, so a lying or missing Content-Length is no way
    round; an HTTPException, since FastAPI takes any other for a body that cannot be parsed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _STREAMED:
            await self._app(scope, receive, send)
            return
        is_known = "principal" in scope["state"]
        limit = MAX_BYTES if is_known else MAX_BYTES_OF_STRANGERS
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if max(received, _announced(scope)) > limit:
                too_large = f"The request is larger than the {limit // 1024} kB taken here."
                raise HTTPException(413, too_large)
            return message

        await self._app(scope, counted, send)


def _announced(scope: Scope) -> int:
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    return max((int(length) for length in lengths if length.isdigit()), default=0)
