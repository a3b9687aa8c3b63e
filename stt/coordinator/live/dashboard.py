"""What the pages show live: one look a second for all of them, and to each what it has not heard.

```
{"type": "status", …as GET /status}        when it changes, and every ten seconds
{"type": "nodes", "nodes": […]}            when they change
{"type": "uploads", "uploads": […]}        when they change
{"type": "away"}                           the database does not answer; all is told anew after it
```
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from stt.coordinator.context import Coordinator, coordinator_of
from stt.coordinator.schemas.nodes import describe_nodes
from stt.coordinator.schemas.status import StatusOut
from stt.coordinator.schemas.uploads import UploadOut
from stt.coordinator.store.uploads import UploadLog
from stt.errors import SttError

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_REPEAT_SECONDS = 10.0
_AWAY = '{"type": "away"}'

# What passes with the time alone is no change: pages count on by themselves.
_PASSING_OF_STATUS: Any = {"at": True, "rate": {"window_seconds"}}
_PASSING_OF_NODE: Any = {
    "workers": {"__all__": {"age_seconds"}},
    "jobs": {"__all__": {"elapsed_seconds"}},
}


@dataclass(frozen=True, slots=True)
class Message:
    """`number` grows with every message, of whatever type."""

    number: int
    text: str
    essence: object
    told_at: float  # on time.monotonic()


class Dashboard:
    """Looks while anybody watches. For one event loop.

    It keeps the latest message of each type alone, so a page that reads slowly misses what is
    outdated, and nothing piles up for it.
    """

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self._watchers = 0
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._messages: dict[str, Message] = {}
        self._number = 0

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """While this is entered, the messages are kept up to date."""
        self._watchers += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="dashboard")
        try:
            yield
        finally:
            self._watchers -= 1
            if not self._watchers and self._task is not None:
                self._task.cancel()
                self._task = None
                self._messages.clear()  # whoever comes next gets nothing old

    def since(self, number: int) -> list[Message]:
        """The messages that are newer than that, oldest first."""
        newer = (message for message in self._messages.values() if message.number > number)
        return sorted(newer, key=lambda message: message.number)

    async def wait(self, seconds: float) -> None:
        """Until there may be something new, or for so long."""
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except TimeoutError:
            return

    async def _run(self) -> None:
        while True:
            began_at = time.monotonic()
            try:
                views = await run_in_threadpool(lambda: list(self._look()))
            except SttError as error:
                self._lose_sight(str(error))
            except Exception:  # whatever it is, the next look must come
                logger.exception("dashboard")
                self._lose_sight("it failed")
            else:
                self._messages.pop("away", None)
                for kind, text, essence in views:
                    self._tell(kind, text, essence)
            await asyncio.sleep(max(0.0, _LOOK_SECONDS - (time.monotonic() - began_at)))

    def _lose_sight(self, reason: str) -> None:
        if "away" not in self._messages:
            logger.warning("pages see nothing new: %s", reason)
            self._messages.clear()
            self._tell("away", _AWAY, None)

    def _tell(self, kind: str, text: Callable[[], str] | str, essence: object) -> None:
        known, now = self._messages.get(kind), time.monotonic()
        is_due = kind == "status" and known is not None and now - known.told_at >= _REPEAT_SECONDS
        if known is not None and known.essence == essence and not is_due:
            return
        self._number += 1
        told = text if isinstance(text, str) else text()
        self._messages[kind] = Message(self._number, told, essence, now)
        self._changed.set()
        self._changed = asyncio.Event()

    def _look(self) -> Iterator[tuple[str, Callable[[], str], object]]:
        """Type, text and what of it counts as a change."""
        coordinator = self._coordinator
        status = StatusOut.model_validate(coordinator.queue_monitor.now())
        essence = status.model_dump(exclude=_PASSING_OF_STATUS)
        yield "status", lambda: _json("status", **_plain(status)), essence
        nodes = describe_nodes(coordinator, coordinator.registry.snapshot())
        essences = [node.model_dump(exclude=_PASSING_OF_NODE) for node in nodes]
        yield "nodes", lambda: _json("nodes", nodes=[_plain(node) for node in nodes]), essences
        uploads = UploadLog(coordinator.database).latest()
        shown = [_plain(UploadOut.model_validate(record)) for record in uploads]
        yield "uploads", lambda: _json("uploads", uploads=shown), shown


def dashboard_of(connection: HTTPConnection) -> Dashboard:
    """The one of this application."""
    state = connection.app.state
    if not hasattr(state, "dashboard"):
        state.dashboard = Dashboard(coordinator_of(connection))
    dashboard: Dashboard = state.dashboard
    return dashboard


def _plain(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json")


def _json(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields}, ensure_ascii=False)
