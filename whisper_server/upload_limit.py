"""ASGI middleware that stops a request at a limit of bytes."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whisper_server.errors import ShuttingDown, TooLarge, UploadStalled

STALL_SECONDS = 60.0
"""A client that vanished would hold its place in the queue for ever else."""


class UploadLimit:
    """Raises TooLarge out of `receive()`, whatever Content-Length says.

    Raises UploadStalled when nothing arrives for `STALL_SECONDS`. Both are raised inside of
    Starlette's exception handling, which turns them into a 413 or 408.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        received, complete = 0, False

        async def counted() -> Message:
            nonlocal received, complete
            if _announced(scope) > self.max_bytes:
                raise self._too_large()
            if complete:  # the next message is that the client has left
                return await receive()
            message = await _received(receive)
            complete = not message.get("more_body", False)
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                raise self._too_large()
            return message

        await self.app(scope, counted, send)

    def _too_large(self) -> TooLarge:
        megabytes = self.max_bytes // (1024 * 1024)
        return TooLarge(f"The request is larger than the {megabytes} MiB that this server takes.")


async def _received(receive: Receive) -> Message:
    try:
        async with asyncio.timeout(STALL_SECONDS):
            return await receive()
    except TimeoutError:
        raise UploadStalled(
            f"Nothing of the upload has arrived for {STALL_SECONDS:g} seconds."
        ) from None
    except asyncio.CancelledError:  # uvicorn's, to all that outlives the grace of a shutdown
        raise ShuttingDown from None


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
