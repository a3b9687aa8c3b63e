"""What the pages show live: one poll a second for all of them, and to each what has changed.

```
{"type": "status", …as GET /status}        when it changes, and every ten seconds
{"type": "nodes", "nodes": […]}            when they change
{"type": "uploads", "uploads": […]}        when they change
{"type": "away"}                           the database does not answer; everything is sent after it
```
"""

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from stt.coordinator.context import Coordinator
from stt.coordinator.live.polling_monitor import PollingMonitor
from stt.coordinator.schemas.nodes import NodeList, describe_nodes
from stt.coordinator.store.uploads import UploadList

_REPEAT_SECONDS = 10.0

# What grows with the time alone is no change: pages count on by themselves.
_VOLATILE_OF_STATUS: Any = {"at": True, "rate": {"window_seconds"}}
_VOLATILE_OF_NODES: Any = {
    "nodes": {
        "__all__": {
            "workers": {"__all__": {"age_seconds"}},
            "jobs": {"__all__": {"elapsed_seconds"}},
        }
    }
}


@dataclass(frozen=True, slots=True)
class Message:
    """`number` grows with every message, of whatever type; `essence` differs after a change."""

    number: int
    text: str
    essence: object
    made_at: float  # on time.monotonic()


class Dashboard(PollingMonitor):
    """The latest message of each type.

    A page that reads slowly misses what is outdated, and nothing piles up for it.
    """

    def __init__(self, coordinator: Coordinator) -> None:
        super().__init__("pages are not updated")
        self._coordinator = coordinator
        self._messages: dict[str, Message] = {}
        self._number = 0

    @asynccontextmanager
    async def subscription(self) -> AsyncIterator[None]:
        """Keep the messages up to date while this is entered."""
        try:
            async with super().subscription():
                yield
        finally:
            if not self._subscribers:
                self._messages.clear()  # outdated for the next subscriber

    def messages_after(self, number: int) -> list[Message]:
        """Return the messages that are newer than that, oldest first."""
        newer = (message for message in self._messages.values() if message.number > number)
        return sorted(newer, key=lambda message: message.number)

    async def _poll(self) -> None:
        contents = await run_in_threadpool(lambda: list(self._read()))
        self._messages.pop("away", None)
        for kind, model, essence in contents:
            self._update(kind, model, essence)

    def _begin_outage(self) -> None:
        self._messages.clear()
        self._update("away", None, None)

    def _read(self) -> Iterator[tuple[str, BaseModel, object]]:
        """Yield the type and content of each message, and what of it counts as a change."""
        coordinator = self._coordinator
        status = coordinator.queue_monitor.now()
        yield "status", status, status.model_dump(exclude=_VOLATILE_OF_STATUS)
        nodes = NodeList(nodes=describe_nodes(coordinator, coordinator.registry.snapshot()))
        yield "nodes", nodes, nodes.model_dump(exclude=_VOLATILE_OF_NODES)
        uploads = UploadList(uploads=coordinator.uploads.latest())
        yield "uploads", uploads, uploads.model_dump()

    def _update(self, kind: str, model: BaseModel | None, essence: object) -> None:
        known, now = self._messages.get(kind), time.monotonic()
        is_due = kind == "status" and known is not None and now - known.made_at >= _REPEAT_SECONDS
        if known is not None and known.essence == essence and not is_due:
            return
        self._number += 1
        content = {} if model is None else model.model_dump(mode="json", by_alias=True)
        text = json.dumps({"type": kind, **content}, ensure_ascii=False)
        self._messages[kind] = Message(self._number, text, essence, now)
        self._publish()
