"""One look at the database a second for all the nodes' channels that end in this process."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from stt.coordinator.context import Coordinator, coordinator_of
from stt.coordinator.schemas.nodes import node_settings
from stt.coordinator.store.nodes import Node, NodesSnapshot
from stt.coordinator.store.options import Options
from stt.errors import SttError
from stt.remote.messages import NodeSettings
from stt.store.workers import MongoRoster

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_LOOKS_PER_CLAIMS_LOOK = 3


class Watcher(Protocol):
    """Who watches: `chunk_ids` are those that its node says it has in work."""

    @property
    def chunk_ids(self) -> Collection[str]: ...


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look saw; `holders` of the chunks that were asked after, if it looked for them."""

    nodes: NodesSnapshot
    options: Options
    holders: Mapping[str, str | None]


class NodeMonitor:
    """Looks while anybody watches. For one event loop."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self._watchers: set[Watcher] = set()
        self._task: asyncio.Task[None] | None = None
        self._next: asyncio.Future[Seen] | None = None

    @asynccontextmanager
    async def watching(self, watcher: Watcher) -> AsyncIterator[None]:
        """While this is entered, `next()` has something to give."""
        self._watchers.add(watcher)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="node watch")
        try:
            yield
        finally:
            self._watchers.discard(watcher)
            if not self._watchers and self._task is not None:
                self._task.cancel()
                self._task = None

    async def next(self) -> Seen:
        """The next look; waits for longer while the database is away."""
        if self._next is None or self._next.done():
            self._next = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._next)

    def options(self) -> Options:
        """As they are now; raises DatabaseUnavailable."""
        return self._coordinator.options

    def settings(self, node: Node, options: Options) -> NodeSettings:
        """What this node is told about itself."""
        return node_settings(node, self._coordinator.settings, options)

    async def _run(self) -> None:
        looks, is_away = 0, False
        while True:
            began_at = time.monotonic()
            chunk_ids: set[str] = set()
            if looks % _LOOKS_PER_CLAIMS_LOOK == 0:
                chunk_ids.update(*(watcher.chunk_ids for watcher in self._watchers))
            try:
                seen = await run_in_threadpool(self._look, chunk_ids)
            except SttError as error:
                if not is_away:
                    logger.warning("nodes hear nothing new: %s", error)
                is_away = True
            except Exception:  # whatever it is, the next look must come
                logger.exception("node watch")
            else:
                looks, is_away = looks + 1, False
                if self._next is not None and not self._next.done():
                    self._next.set_result(seen)
            await asyncio.sleep(max(0.0, _LOOK_SECONDS - (time.monotonic() - began_at)))

    def _look(self, chunk_ids: Collection[str]) -> Seen:
        nodes = self._coordinator.registry.snapshot()
        options = self._coordinator.options
        held = MongoRoster(self._coordinator.database).holders() if chunk_ids else {}
        return Seen(nodes, options, {id_: held.get(id_) for id_ in chunk_ids})


def watch_of(connection: HTTPConnection) -> NodeMonitor:
    """The one of this application."""
    state = connection.app.state
    if not hasattr(state, "node_watch"):
        state.node_watch = NodeMonitor(coordinator_of(connection))
    watch: NodeMonitor = state.node_watch
    return watch
