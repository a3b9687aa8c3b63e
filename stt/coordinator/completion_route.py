"""The route of finished transcripts: check the claim and bound the body before it is parsed.

Parsing blocks all other requests, wherever it is done: the interpreter's lock is held meanwhile.
So a body may be no larger than a transcript of its chunk can be.
"""

import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, NamedTuple

from bson import ObjectId
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from stt.coordinator.context import Coordinator, check_worker
from stt.coordinator.errors import TooLarge, Unprocessable
from stt.coordinator.middleware.body_limit import MAX_BYTES, MAX_TRANSCRIPT_BYTES, containers
from stt.errors import ClaimLost
from stt.store.claim_queries import seconds_claimed_under

# A tokenizer of Whisper gives 15 tokens a second at most, and a word has one or more.
_MIN_BYTES, _BYTES_PER_SECOND = 64 * 1024, 8 * 1024
_MIN_CONTAINERS, _CONTAINERS_PER_SECOND = 1_000, 40
_MAX_CONTAINERS = 100_000
_SECONDS_IF_UNKNOWN = 600.0
"""Length of a chunk whose document does not say it: the longest that are cut here."""

_IDS = tuple(
    re.compile(rb'"%s"\s*:\s*"(%s)"' % pattern)
    for pattern in (
        (b"worker_id", rb"[A-Za-z0-9.-]{1,100}_[0-9]{1,10}"),
        (b"chunk_id", rb"[0-9a-f]{24}"),
        (b"claim_id", rb"[0-9a-f]{24}"),
    )
)
"""What the request is for, as JSON without escapes has it; a text within JSON escapes its `"`."""


class _Ids(NamedTuple):
    worker: str
    chunk: ObjectId
    claim: ObjectId


@dataclass(frozen=True, slots=True)
class _Limits:
    """The largest transcript of a chunk of this length: bytes, and objects and lists."""

    seconds: float = 0.0

    @property
    def bytes(self) -> int:
        return min(MAX_TRANSCRIPT_BYTES, int(_MIN_BYTES + _BYTES_PER_SECOND * self.seconds))

    @property
    def containers(self) -> int:
        return min(_MAX_CONTAINERS, int(_MIN_CONTAINERS + _CONTAINERS_PER_SECOND * self.seconds))

    def check(self, size: int, parts: int) -> None:
        """Raise TooLarge for a body of so many bytes, and so many objects and lists."""
        if size > self.bytes or parts > self.containers:
            raise TooLarge(
                f"This is more than a transcript of {self.seconds:.1f} s of audio can be."
            )


class CompletionRoute(APIRoute):
    """Reads the body as far as it can be of use, and then parses it as any route does.

    Raises Forbidden, ClaimLost, TooLarge, DatabaseUnavailable; Unprocessable for a large body that
    does not begin with the ids.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def check_first(request: Request) -> Response:
            body = await _read(request)

            async def replay() -> Message:
                return {"type": "http.request", "body": body, "more_body": False}

            return await handle(Request(request.scope, replay))

        return check_first


async def _read(request: Request) -> bytes:
    body, parts, limits = bytearray(), 0, None
    async for block in request.stream():
        body += block
        parts += containers(block)
        if limits is None and (ids := _find_ids(body)) is not None:
            limits = await run_in_threadpool(_limits, request, ids)
        if limits is not None:
            limits.check(len(body), parts)
        elif len(body) > MAX_BYTES:
            break
    if limits is None and (len(body) > _MIN_BYTES or parts > _MIN_CONTAINERS):
        raise Unprocessable("A transcript this large has worker_id, chunk_id and claim_id first.")
    return bytes(body)


def _find_ids(body: bytearray) -> _Ids | None:
    worker, chunk, claim = (pattern.search(body) for pattern in _IDS)
    if worker is None or chunk is None or claim is None:
        return None
    return _Ids(worker[1].decode(), ObjectId(chunk[1].decode()), ObjectId(claim[1].decode()))


def _limits(request: Request, ids: _Ids) -> _Limits:
    """Return the limits for the chunk that these ids name. Raises as the route does."""
    coordinator: Coordinator = request.app.state.coordinator
    check_worker(request.scope["state"]["principal"], ids.worker)
    seconds = seconds_claimed_under(coordinator.database, ids.chunk, ids.claim)
    if seconds is None:
        raise ClaimLost(f"chunk {ids.chunk} is no longer ours")
    return _Limits(seconds or _SECONDS_IF_UNKNOWN)
