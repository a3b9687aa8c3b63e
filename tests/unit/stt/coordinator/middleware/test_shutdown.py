"""Requests that outlive the grace of a shutdown."""

import asyncio
import json
import threading
from typing import Any

import pytest

from stt.coordinator.middleware.shutdown import Shutdown
from tests.support.asgi import call, http_scope
from tests.support.event_loop import in_event_loop


async def cancelled(*_: Any) -> None:
    raise asyncio.CancelledError


async def cancelled_in_the_middle(_: Any, __: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise asyncio.CancelledError


@pytest.fixture
def closing() -> threading.Event:
    return threading.Event()


@in_event_loop
async def test_a_request_that_has_no_answer_yet_is_sent_elsewhere(
    closing: threading.Event,
) -> None:
    closing.set()
    start, body = await call(Shutdown(cancelled, closing), http_scope())
    assert start["status"] == 503
    assert (b"retry-after", b"2") in start["headers"]
    assert json.loads(body["body"])["error"]["code"] == "stopping"


@in_event_loop
async def test_an_answer_that_has_begun_ends_without_a_second_one(
    closing: threading.Event,
) -> None:
    closing.set()
    [start] = await call(Shutdown(cancelled_in_the_middle, closing), http_scope())
    assert start["status"] == 200


@in_event_loop
async def test_a_socket_is_sent_no_http(closing: threading.Event) -> None:
    closing.set()
    assert await call(Shutdown(cancelled, closing), http_scope(type="websocket")) == []


@in_event_loop
async def test_a_request_that_is_cancelled_at_another_time_stays_cancelled(
    closing: threading.Event,
) -> None:
    with pytest.raises(asyncio.CancelledError):
        await call(Shutdown(cancelled, closing), http_scope())
