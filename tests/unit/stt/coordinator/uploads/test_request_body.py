"""The body of a request that comes, ends, or stands still."""

import asyncio
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from stt.coordinator.errors import Stalled
from stt.coordinator.uploads.request_body import blocks_of
from tests.support.asgi import http_scope
from tests.support.event_loop import in_event_loop


def a_request(*messages: dict[str, Any]) -> Request:
    """Return one that sends these messages, and then nothing."""
    left = list(messages)

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    return Request(http_scope("PATCH", "/x"), receive)


def part(data: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": data, "more_body": more}


@in_event_loop
async def test_it_is_read_to_its_end() -> None:
    request = a_request(part(b"one"), part(b"two", more=False))
    assert b"".join([block async for block in blocks_of(request, 60)]) == b"onetwo"


@in_event_loop
async def test_one_that_stands_still_ends() -> None:
    blocks = blocks_of(a_request(part(b"one")), 0.01)
    assert await anext(blocks) == b"one"
    with pytest.raises(Stalled, match=r"for 0\.01 seconds"):
        await anext(blocks)


@in_event_loop
async def test_a_client_that_leaves_is_noticed() -> None:
    request = a_request(part(b"one"), {"type": "http.disconnect"})
    with pytest.raises(ClientDisconnect):
        [_ async for _ in blocks_of(request, 60)]
