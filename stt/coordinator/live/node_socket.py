"""A node's own WebSocket: it hears of settings, tests, lost claims and its end, and tells its work.

```
coordinator → node   {"type": "settings", …NodeSettings}       at the start, and when they change
                     {"type": "test", "id"}                    a person wants to know: answer it
                     {"type": "cancel", "chunk_ids": […]}      these are no longer yours
                     {"type": "removed"}, then close 4410
node → coordinator   {"type": "progress", "jobs": [{"chunk_ids", "filename", "seconds",
                                                    "elapsed_seconds"}]}       all of its jobs
                     {"type": "tested", "id", "ok", "milliseconds", "detail"}
```

What goes by it is a comfort: a node that cannot keep one open works all the same, by its heartbeat
and the fence.
"""

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, ValidationError
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from stt.coordinator.live.node_monitor import NodeMonitor, Seen
from stt.coordinator.store.nodes import Node, NodeRegistry
from stt.coordinator.store.options import Options
from stt.domain.node import Job, NodeTest, clean_text
from stt.errors import NotFound, SttError
from stt.remote.messages import NodeSettings

logger = logging.getLogger(__name__)

REMOVED = 4410
_NOT_UNDERSTOOD = 1008
_TOO_LARGE = 1009
_MAX_MESSAGE = 1024 * 1024
_WRITE_SECONDS = 1.0
_REFRESH_SECONDS = 10.0

_Line = Annotated[str, StringConstraints(max_length=1_000), AfterValidator(clean_text)]


class _Progress(BaseModel):
    type: Literal["progress"]
    jobs: Annotated[tuple[Job, ...], Field(max_length=1_000)]


class _Tested(BaseModel):
    """How long it took is measured here, from the question on, and not believed."""

    type: Literal["tested"]
    id: Annotated[str, StringConstraints(max_length=100)]
    ok: bool
    detail: _Line = ""


class NodeSocket:
    """One open channel of one node. `serve()` it until it ends; the socket is accepted already."""

    def __init__(
        self, socket: WebSocket, registry: NodeRegistry, watch: NodeMonitor, node: Node
    ) -> None:
        self.chunk_ids: frozenset[str] = frozenset()
        self._socket = socket
        self._registry = registry
        self._watch = watch
        self._node = node
        self._channel = secrets.token_hex(8)
        self._jobs: tuple[Job, ...] = ()
        self._jobs_told_at = 0.0
        self._has_news = asyncio.Event()
        self._told: NodeSettings | None = None
        self._put_tests: dict[str, float] = {}
        self._cancelled: frozenset[str] = frozenset()

    async def serve(self) -> None:
        """Until the node hangs up, is removed, or says what cannot be understood."""
        async with self._watch.watching(self):
            try:
                await _first_to_end(self._listen(), self._talk(), self._keep_jobs())
            finally:
                with suppress(SttError):
                    await run_in_threadpool(
                        self._registry.forget_jobs, self._node.id, self._channel
                    )

    async def _listen(self) -> None:
        while True:
            received = await self._socket.receive()
            if received["type"] == "websocket.disconnect":
                return
            text = received.get("text") or ""
            if len(text) > _MAX_MESSAGE:
                await self._socket.close(_TOO_LARGE, "the message is too large")
                return
            try:
                await self._hear(text)
            except ValueError as error:
                logger.warning("node %s: %s", self._node.id, _reason(error))
                await self._socket.close(_NOT_UNDERSTOOD, _reason(error))
                return

    async def _hear(self, text: str) -> None:
        """Raises ValueError. What it has no name for, a later version may have meant well."""
        message = from_json(text)
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "progress":
            self._jobs = _Progress.model_validate(message).jobs
            self._jobs_told_at = time.monotonic()
            self.chunk_ids = frozenset(id_ for job in self._jobs for id_ in job.chunk_ids)
            self._has_news.set()
        elif kind == "tested":
            await self._end_test(_Tested.model_validate(message))

    async def _end_test(self, tested: _Tested) -> None:
        put_at = self._put_tests.pop(tested.id, None)
        if put_at is None:
            return
        milliseconds = round((time.monotonic() - put_at) * 1_000, 1)
        result = NodeTest(tested.ok, tested.detail, milliseconds)
        with suppress(SttError):  # then it ends without an answer
            await run_in_threadpool(self._registry.end_test, self._node.id, tested.id, result)

    async def _talk(self) -> None:
        with suppress(SttError):  # then the next look will tell
            options = await run_in_threadpool(self._watch.options)
            await self._tell_settings(self._node, options)
        while True:
            seen = await self._watch.next()
            node = seen.nodes.nodes.get(self._node.id)
            if node is None:
                if await self._is_removed():
                    await self._say({"type": "removed"})
                    await self._socket.close(REMOVED, "this node was removed")
                    return
                continue
            await self._tell_settings(node, seen.options)
            test_id = node.test_to_put(seen.nodes.at)
            if test_id is not None and test_id not in self._put_tests:
                self._put_tests = {test_id: time.monotonic()}
                await self._say({"type": "test", "id": test_id})
            await self._cancel(seen)

    async def _tell_settings(self, node: Node, options: Options) -> None:
        settings = self._watch.settings(node, options)
        if settings != self._told:
            await self._say({"type": "settings", **settings.model_dump(mode="json")})
            self._told = settings

    async def _is_removed(self) -> bool:
        """Asked anew: it may have joined after the look."""
        try:
            await run_in_threadpool(self._registry.get, self._node.id)
        except NotFound:
            return True
        except SttError:
            return False
        return False

    async def _cancel(self, seen: Seen) -> None:
        looked_for = self.chunk_ids & seen.holders.keys()
        if not looked_for:
            return
        mine = f"{self._node.id}_"
        lost = {id_ for id_ in looked_for if not (seen.holders[id_] or "").startswith(mine)}
        if delta := lost - self._cancelled:
            await self._say({"type": "cancel", "chunk_ids": sorted(delta)})
        self._cancelled = frozenset(lost)

    async def _keep_jobs(self) -> None:
        """Writes what the node is at into its document, for the pages: when it changes, and now
        and then, so that it does not grow old; what a node tells more often costs no write."""
        written: frozenset[str] | None = None
        written_at = 0.0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_REFRESH_SECONDS):
                    await self._has_news.wait()
            self._has_news.clear()
            if not self._jobs_told_at:
                continue
            is_old = bool(self._jobs) and time.monotonic() - written_at > _REFRESH_SECONDS
            if self.chunk_ids != written or is_old:
                chunk_ids, jobs = self.chunk_ids, self._current_jobs()
                try:
                    await run_in_threadpool(
                        self._registry.set_jobs, self._node.id, self._channel, jobs
                    )
                except SttError as error:
                    logger.debug("node %s: %s", self._node.id, error)
                    self._has_news.set()
                else:
                    written, written_at = chunk_ids, time.monotonic()
            await asyncio.sleep(_WRITE_SECONDS)

    def _current_jobs(self) -> list[Job]:
        since = time.monotonic() - self._jobs_told_at
        return [job.after(since) for job in self._jobs]

    async def _say(self, message: dict[str, Any]) -> None:
        states = (self._socket.client_state, self._socket.application_state)
        if states != (WebSocketState.CONNECTED, WebSocketState.CONNECTED):
            raise WebSocketDisconnect
        await self._socket.send_text(json.dumps(message, ensure_ascii=False))


async def _first_to_end(*works: Coroutine[Any, Any, None]) -> None:
    """Runs them side by side until one ends, and ends the others with it."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in ended:
        if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
            raise outcome


def _reason(error: ValueError) -> str:
    """Short enough for a close frame, which holds 123 bytes, and without the node's own words."""
    if isinstance(error, ValidationError):
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, fault["loc"]))
        text = f"{where}: {fault['msg']}"
    else:
        text = "a message is not JSON"
    return text.encode("ascii", "replace").decode()[:120]
