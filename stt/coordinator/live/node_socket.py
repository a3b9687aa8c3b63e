"""A node's own WebSocket: settings, tests, lost claims and removal to it, its progress from it.

```
coordinator → node   {"type": "settings", …NodeSettings}       at the start, and when they change
                     {"type": "test", "id"}                    a person tests the node: answer it
                     {"type": "cancel", "chunk_ids": […]}      these are no longer the node's
                     {"type": "removed"}, then close 4410
node → coordinator   {"type": "progress", "jobs": [{"chunk_ids", "filename", "seconds",
                                                    "elapsed_seconds"}]}       all of its jobs
                     {"type": "tested", "id", "ok", "milliseconds", "detail"}
```

A node that cannot keep one open works all the same, by its heartbeat and the fence.
"""

import asyncio
import json
import logging
import secrets
import time
from contextlib import suppress
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, ValidationError
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from stt.coordinator.context import Coordinator
from stt.coordinator.live.node_monitor import FleetSnapshot, NodeMonitor
from stt.coordinator.live.polling_monitor import run_until_one_ends
from stt.coordinator.middleware.body_limit import MAX_CONTAINERS
from stt.coordinator.schemas.nodes import node_settings
from stt.domain.node import Job, Node, NodeTest, clean_text
from stt.domain.worker_id import WorkerId
from stt.errors import NotFound, SttError
from stt.remote.messages import NodeSettings
from stt.settings import Settings

logger = logging.getLogger(__name__)

# Codes of closing (RFC 6455, and 4000 to 4999 for applications).
REMOVED = 4410
_POLICY_VIOLATION = 1008

_WRITE_SECONDS = 1.0
_REFRESH_SECONDS = 10.0

_Line = Annotated[str, StringConstraints(max_length=1_000), AfterValidator(clean_text)]


class _Progress(BaseModel):
    jobs: Annotated[tuple[Job, ...], Field(max_length=1_000)]


class _TestAnswer(BaseModel):
    """The answer's own time is not used: it is measured here, from the test's sending."""

    id: Annotated[str, StringConstraints(max_length=100)]
    ok: bool
    detail: _Line = ""


class _TooManyParts(ValueError):
    pass


class NodeSocket:
    """One open WebSocket of one node, accepted already. `serve()` it until it ends."""

    def __init__(
        self, socket: WebSocket, coordinator: Coordinator, monitor: NodeMonitor, node: Node
    ) -> None:
        self.chunk_ids: frozenset[str] = frozenset()
        self._socket = socket
        self._coordinator = coordinator
        self._registry = coordinator.registry
        self._monitor = monitor
        self._node = node
        self._id = secrets.token_hex(8)
        self._jobs: tuple[Job, ...] = ()
        self._jobs_at: float | None = None  # on time.monotonic()
        self._sent_settings: NodeSettings | None = None
        self._sent_tests: dict[str, float] = {}  # when, on time.monotonic()
        self._cancelled: frozenset[str] = frozenset()

    async def serve(self) -> None:
        """Return once the node disconnects, is removed, or sends an invalid message."""
        async with self._monitor.subscription_of(lambda: self.chunk_ids):
            try:
                await run_until_one_ends(self._receive(), self._send_changes(), self._store_jobs())
            finally:
                with suppress(SttError):
                    await run_in_threadpool(self._registry.forget_jobs, self._node.id, self._id)

    async def _receive(self) -> None:
        while True:
            received = await self._socket.receive()
            if received["type"] == "websocket.disconnect":
                return
            try:
                await self._handle(received.get("text") or "")
            except ValueError as error:
                logger.warning("node %s: %s", self._node.id, _reason(error))
                await self._socket.close(_POLICY_VIOLATION, _reason(error))
                return

    async def _handle(self, text: str) -> None:
        """Raise ValueError. Messages of unknown types, of a later version, are ignored."""
        if text.count("{") + text.count("[") > MAX_CONTAINERS:
            raise _TooManyParts(
                "a message has too many parts"
            )  # to parse them would block all others
        message = from_json(text)
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "progress":
            self._jobs = _Progress.model_validate(message).jobs
            self._jobs_at = time.monotonic()
            self.chunk_ids = frozenset(id_ for job in self._jobs for id_ in job.chunk_ids)
        elif kind == "tested":
            await self._end_test(_TestAnswer.model_validate(message))

    async def _end_test(self, answer: _TestAnswer) -> None:
        sent_at = self._sent_tests.pop(answer.id, None)
        if sent_at is None:
            return
        milliseconds = round((time.monotonic() - sent_at) * 1_000, 1)
        result = NodeTest(answer.ok, answer.detail, milliseconds)
        with suppress(SttError):  # then the test ends without an answer
            await run_in_threadpool(self._registry.end_test, self._node.id, answer.id, result)

    async def _send_changes(self) -> None:
        with suppress(SttError):  # then the next snapshot has them
            options = await run_in_threadpool(lambda: self._coordinator.options)
            await self._send_settings(self._node, options)
        while True:
            snapshot = await self._monitor.next()
            node = snapshot.nodes.nodes.get(self._node.id)
            if node is None:
                if await self._is_removed():
                    await self._send({"type": "removed"})
                    await self._socket.close(REMOVED, "this node was removed")
                    return
                continue
            await self._send_settings(node, snapshot.options)
            test_id = node.test_to_put(snapshot.nodes.at)
            if test_id is not None and test_id not in self._sent_tests:
                self._sent_tests = {test_id: time.monotonic()}
                await self._send({"type": "test", "id": test_id})
            await self._send_lost_claims(snapshot)

    async def _send_settings(self, node: Node, options: Settings) -> None:
        settings = node_settings(node, options)
        if settings != self._sent_settings:
            await self._send({"type": "settings", **settings.model_dump(mode="json")})
            self._sent_settings = settings

    async def _is_removed(self) -> bool:
        """Read again: it may have joined after the snapshot."""
        try:
            await run_in_threadpool(self._registry.get, self._node.id)
        except SttError as error:
            return isinstance(error, NotFound)
        return False

    async def _send_lost_claims(self, snapshot: FleetSnapshot) -> None:
        checked = self.chunk_ids & snapshot.holders.keys()
        if not checked:
            return
        lost = {
            id_ for id_ in checked if WorkerId(snapshot.holders[id_] or "").owner != self._node.id
        }
        if new := lost - self._cancelled:
            await self._send({"type": "cancel", "chunk_ids": sorted(new)})
        self._cancelled = frozenset(lost)

    async def _store_jobs(self) -> None:
        """Write the node's jobs into its document, for the pages.

        When chunks change, and every ten seconds, so that pages take them for current; what a
        node sends more often costs no write.
        """
        stored: frozenset[str] | None = None
        stored_at = 0.0
        while True:
            await asyncio.sleep(_WRITE_SECONDS)
            is_old = bool(self._jobs) and time.monotonic() - stored_at > _REFRESH_SECONDS
            if self._jobs_at is None or not (self.chunk_ids != stored or is_old):
                continue
            chunk_ids, age = self.chunk_ids, time.monotonic() - self._jobs_at
            jobs = [job.after(age) for job in self._jobs]
            try:
                await run_in_threadpool(self._registry.set_jobs, self._node.id, self._id, jobs)
            except SttError as error:
                logger.debug("node %s: %s", self._node.id, error)
            else:
                stored, stored_at = chunk_ids, time.monotonic()

    async def _send(self, message: dict[str, Any]) -> None:
        states = (self._socket.client_state, self._socket.application_state)
        if states != (WebSocketState.CONNECTED, WebSocketState.CONNECTED):
            raise WebSocketDisconnect
        await self._socket.send_text(json.dumps(message, ensure_ascii=False))


def _reason(error: ValueError) -> str:
    """Return what is wrong without the node's own words, in the 123 bytes of a close frame."""
    if isinstance(error, ValidationError):
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, fault["loc"]))
        text = f"{where}: {fault['msg']}"
    else:
        text = str(error) if isinstance(error, _TooManyParts) else "a message is not JSON"
    return text.encode("ascii", "replace").decode()[:120]
