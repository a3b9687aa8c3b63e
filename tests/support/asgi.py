"""Requests to one piece of ASGI middleware, without a server."""

from collections.abc import Sequence
from typing import Any

from starlette.types import ASGIApp, Message


def http_scope(method: str = "GET", path: str = "/", **fields: Any) -> dict[str, Any]:
    """Return the scope of a request; `state` and others by their names."""
    return {
        "type": "http", "method": method, "path": path, "headers": [], "state": {},
        "query_string": b"", "client": ("10.0.0.1", 1234), "scheme": "http", **fields,
    }  # fmt: skip


async def call(app: ASGIApp, scope: dict[str, Any], body: Sequence[bytes] = ()) -> list[Message]:
    """Send a request, its body in these pieces; return what was sent back."""
    pieces = list(body)
    sent: list[Message] = []

    async def receive() -> Message:
        piece = pieces.pop(0) if pieces else b""
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def answers(status: int, *headers: tuple[bytes, bytes]) -> ASGIApp:
    """Return an application that answers so, whatever it is asked."""

    async def app(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": [*headers]})
        await send({"type": "http.response.body", "body": b""})

    return app
