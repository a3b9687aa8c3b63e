"""The body of a request as it comes, in bounded time."""

import asyncio
import time
from collections.abc import AsyncIterator

from starlette.requests import Request

from stt.coordinator.errors import Stalled

_MAX_SECONDS = 12 * 3_600.0


async def blocks_of(request: Request, stall_seconds: float) -> AsyncIterator[bytes]:
    """Yield the body as it comes. Raises ClientDisconnect, Stalled if nothing comes for long."""
    stream = request.stream()
    deadline = time.monotonic() + _MAX_SECONDS
    while time.monotonic() < deadline:
        try:
            async with asyncio.timeout(stall_seconds):
                block = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Stalled(f"Nothing of it has arrived for {stall_seconds:g} seconds.") from None
        yield block
    raise Stalled(f"It has not arrived in {_MAX_SECONDS / 3_600:g} hours.")
