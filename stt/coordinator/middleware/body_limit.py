"""A limit to what is read into memory; uploads go to disk and have their own limits.

Objects and lists are counted too: parsing blocks all other requests, and a megabyte of empty lists
takes a hundred times as long as one of text.
"""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BYTES = 1024 * 1024
MAX_TRANSCRIPT_BYTES = 8 * 1024 * 1024
"""The words of ten hours; `completion_route.py` has narrower limits, by the chunk."""
MAX_UNAUTHENTICATED_BYTES = 64 * 1024
MAX_CONTAINERS = 10_000
_STREAMED = ("/upload",)
_STREAMED_PATCHES = "/api/uploads/"
_WITH_TRANSCRIPT = ("/tasks/complete",)


def containers(block: bytes | bytearray) -> int:
    """Return how many objects and lists JSON has at most; brackets within texts count too."""
    return block.count(b"{") + block.count(b"[")


def _is_streamed(scope: Scope) -> bool:
    path = scope["path"]
    is_patch = scope["method"] == "PATCH" and path.startswith(_STREAMED_PATCHES)
    return path in _STREAMED or is_patch


class BodyLimit:
    """ASGI middleware. Raises out of `receive()`, whatever Content-Length says.

    It raises an HTTPException, since FastAPI takes any other for a body that cannot be parsed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_streamed(scope):
            await self._app(scope, receive, send)
            return
        limit, most_containers = MAX_BYTES, MAX_CONTAINERS
        if scope["path"] in _WITH_TRANSCRIPT:
            limit = most_containers = MAX_TRANSCRIPT_BYTES
        if "principal" not in scope["state"]:
            limit = most_containers = MAX_UNAUTHENTICATED_BYTES
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        announced = max((int(length) for length in lengths if length.isdigit()), default=0)
        received = counted = 0

        async def receive_within_limits() -> Message:
            nonlocal received, counted
            message = await receive()
            body = message.get("body", b"")
            received, counted = received + len(body), counted + containers(body)
            if max(received, announced) > limit:
                too_large = f"The request is larger than the {limit // 1024} kB taken here."
                raise HTTPException(413, too_large)
            if counted > most_containers:
                too_many = f"The request has more than the {most_containers:,} parts taken here."
                raise HTTPException(413, too_many)
            return message

        await self._app(scope, receive_within_limits, send)
