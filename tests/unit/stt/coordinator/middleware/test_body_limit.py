"""How much of a body is read: by sender, by path, and whatever its announced length."""

from typing import Any

import pytest
from starlette.exceptions import HTTPException

from stt.coordinator.authenticator import Person
from stt.coordinator.middleware.body_limit import (
    MAX_BYTES,
    MAX_CONTAINERS,
    MAX_TRANSCRIPT_BYTES,
    MAX_UNAUTHENTICATED_BYTES,
    BodyLimit,
    containers,
)
from tests.support.asgi import call, http_scope
from tests.support.event_loop import in_event_loop

KNOWN = {"principal": Person()}


async def read(
    size: int, path: str = "/x", pieces: int = 4, sign: bytes = b"x", **fields: Any
) -> int:
    """Send so many bytes to an application that reads all; return how many it has read."""
    received = 0

    async def reader(_: Any, receive: Any, __: Any) -> None:
        nonlocal received
        while True:
            message = await receive()
            received += len(message["body"])
            if not message["more_body"]:
                return

    body = [sign * (size // pieces)] * (pieces - 1)
    body.append(sign * (size - sum(map(len, body))))
    await call(BodyLimit(reader), http_scope("POST", path, **fields), body)
    return received


@pytest.mark.parametrize(
    ("path", "state", "limit"),
    [
        ("/login", {}, MAX_UNAUTHENTICATED_BYTES),
        ("/api/options", KNOWN, MAX_BYTES),
        ("/tasks/complete", KNOWN, MAX_TRANSCRIPT_BYTES),
        ("/tasks/complete", {}, MAX_UNAUTHENTICATED_BYTES),
    ],
)
@in_event_loop
async def test_a_body_may_fill_its_limit_and_have_no_byte_more(
    path: str, state: dict[str, Any], limit: int
) -> None:
    assert await read(limit, path, state=state) == limit
    with pytest.raises(HTTPException, match=f"{limit // 1024} kB") as caught:
        await read(limit + 1, path, state=state)
    assert caught.value.status_code == 413


@pytest.mark.parametrize("sign", [b"[", b"{"])
@in_event_loop
async def test_a_body_has_no_more_objects_and_lists_than_are_quickly_parsed(sign: bytes) -> None:
    assert await read(MAX_CONTAINERS, state=KNOWN, sign=sign) == MAX_CONTAINERS
    with pytest.raises(HTTPException, match=f"{MAX_CONTAINERS:,} parts") as caught:
        await read(MAX_CONTAINERS + 1, state=KNOWN, sign=sign)
    assert caught.value.status_code == 413


def test_objects_and_lists_are_counted_without_parsing() -> None:
    assert containers(b'{"a": [{}, [], "[in a text"]}') == 5


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"99999999")],
        [(b"content-length", b"1"), (b"content-length", b"99999999")],
    ],
)
@in_event_loop
async def test_what_is_announced_as_too_large_is_not_read(
    headers: list[tuple[bytes, bytes]],
) -> None:
    with pytest.raises(HTTPException):
        await read(4, state=KNOWN, headers=headers)


@in_event_loop
async def test_an_announced_length_that_is_no_number_is_ignored() -> None:
    assert await read(4, state=KNOWN, headers=[(b"content-length", b"-1")]) == 4


@in_event_loop
async def test_uploads_have_their_own_limit() -> None:
    assert await read(MAX_TRANSCRIPT_BYTES * 2, "/upload") == MAX_TRANSCRIPT_BYTES * 2
