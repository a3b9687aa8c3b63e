"""One poll of the database a second for all the nodes' WebSockets that end in this process."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from stt.coordinator.context import Coordinator
from stt.coordinator.live.polling_monitor import PollingMonitor
from stt.coordinator.store.nodes import NodesSnapshot
from stt.settings import Settings

_POLLS_PER_CLAIMS_CHECK = 3


@dataclass(frozen=True, slots=True)
class FleetSnapshot:
    """All nodes and options, and the `holders` of the subscribers' chunks if they were read."""

    nodes: NodesSnapshot
    options: Settings
    holders: Mapping[str, str | None]


class NodeMonitor(PollingMonitor):
    """The fleet as of the latest poll. For one event loop."""

    def __init__(self, coordinator: Coordinator) -> None:
        super().__init__("nodes are not updated")
        self._coordinator = coordinator
        self._chunk_ids_of: set[Callable[[], Collection[str]]] = set()
        self._polls = 0
        self._snapshot: FleetSnapshot | None = None

    @asynccontextmanager
    async def subscription_of(
        self, chunk_ids: Callable[[], Collection[str]]
    ) -> AsyncIterator[None]:
        """Poll, also for the chunks that a node says it has in work, while this is entered."""
        self._chunk_ids_of.add(chunk_ids)
        try:
            async with self.subscription():
                yield
        finally:
            self._chunk_ids_of.discard(chunk_ids)

    async def next(self) -> FleetSnapshot:
        """Return the next snapshot, waiting for longer while the database is away."""
        await self.wait()
        assert self._snapshot is not None
        return self._snapshot

    async def _poll(self) -> None:
        chunk_ids: set[str] = set()
        if self._polls % _POLLS_PER_CLAIMS_CHECK == 0:
            chunk_ids.update(*(of_node() for of_node in self._chunk_ids_of))
        self._snapshot = await run_in_threadpool(self._read, chunk_ids)
        self._polls += 1
        self._publish()

    def _read(self, chunk_ids: Collection[str]) -> FleetSnapshot:
        nodes = self._coordinator.registry.snapshot()
        options = self._coordinator.options
        held = self._coordinator.roster.holders() if chunk_ids else {}
        return FleetSnapshot(nodes, options, {id_: held.get(id_) for id_ in chunk_ids})
