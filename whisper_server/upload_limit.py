"""Stop reading a request at a limit of bytes, or if its client sends nothing more."""

import asyncio

from starlette.requests import Request
from starlette.types import Message, Receive

from whisper_server.errors import ShuttingDown, TooLarge, UploadStalled

STALL_SECONDS = 60.0
"""Without it a client that has left would hold its place in the queue for ever."""


def limited(request: Request, max_mebibytes: int) -> Request:
    """Return the request; reading it raises TooLarge at any Content-Length.

    Raises UploadStalled when nothing arrives for `STALL_SECONDS`.
    """
    announced = request.headers.get("content-length", "")
    received = 0

    def check(count: int) -> None:
        if count > max_mebibytes * 1024 * 1024:
            raise TooLarge(
                f"The request is larger than the {max_mebibytes} MiB that this server takes."
            )

    async def receive() -> Message:
        nonlocal received
        check(int(announced) if announced.isdecimal() else 0)
        message = await _received(request.receive)
        received += len(message.get("body", b""))
        check(received)
        return message

    return Request(request.scope, receive)


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
