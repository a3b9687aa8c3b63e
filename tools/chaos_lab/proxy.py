"""TCP proxies that do to connections what networks do: cut, delay, swallow, refuse, lose answers.

All proxies of a run live in one thread with an event loop of its own. Their switches may be set
from any thread; each takes effect on the next piece of bytes.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

_PIECE_BYTES = 65_536
_PATIENCE_SECONDS = 10.0
_STEPS_TO_SETTLE = 5  # an accepted connection is served after three


@dataclass(slots=True)
class AnswerTrap:
    """Lets requests with all of `words` through, and loses their answers, `left` times.

    With `then`, the answers arrive, and it is called in the same moment. `port` is the one behind
    the proxy whose answer was caught last.
    """

    words: tuple[bytes, ...]
    left: int
    then: Callable[[], None] | None = None
    caught: int = 0
    port: int = 0

    def takes(self, request: bytes) -> bool:
        if self.left == 0 or not all(word in request for word in self.words):
            return False
        self.left -= 1
        return True


@dataclass(eq=False, slots=True)
class _Connection:
    """One connection through a proxy: two sockets and what was done to it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    port: int
    is_caught: bool = False  # the server is at work on a request whose answer must not arrive
    has_lost: bool = False  # bytes of it were swallowed, so that it can never be mended

    def cut(self) -> None:
        for writer in (self.client, self.server):
            writer.transport.abort()


@dataclass(eq=False, slots=True)
class Proxy:
    """One address in front of another. `delay_seconds`, `is_black_hole` and `trap` are switches.

    With `other_ports` it deals its connections out to them all, and past those that refuse.
    """

    name: str
    target_port: int
    loop: asyncio.AbstractEventLoop
    port: int = 0
    delay_seconds: float = 0.0
    is_black_hole: bool = False
    trap: AnswerTrap | None = None
    other_ports: tuple[int, ...] = ()
    swallowed: int = 0
    """Bytes that fell into the black hole so far."""
    delayed: int = 0
    """Pieces that came late so far."""
    turned_away: int = 0
    """Connections that found nothing behind the proxy."""
    _connections: set[_Connection] = field(default_factory=set)
    _listener: asyncio.Server | None = None
    _turn: int = 0

    def cut(self) -> int:
        """Resets every connection; how many there were."""
        return self._run(self._cut_all())

    def refuse(self) -> None:
        """Refuse new connections until `accept`; keep open ones."""
        self._run(self._close_listener())

    def accept(self) -> None:
        self._run(self._open_listener())

    def end_black_hole(self) -> None:
        """Bytes flow again, but not on connections of which some were swallowed."""
        self.is_black_hole = False
        self._run(self._cut_all(only_broken=True))

    def _run(self, work: "Coroutine[Any, Any, int]") -> int:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(_PATIENCE_SECONDS)

    async def _open_listener(self) -> int:
        if self._listener is None:
            self._listener = await asyncio.start_server(
                self._serve, "127.0.0.1", self.port, backlog=256
            )
            self.port = self._listener.sockets[0].getsockname()[1]
        return self.port

    async def _close_listener(self) -> int:
        if self._listener is not None:
            listener, self._listener = self._listener, None
            # Whom it has let in just now needs it for a moment: asyncio forgets him else, and
            # leaves his socket open.
            for each in listener.sockets:
                self.loop.remove_reader(each)
            await _settled()
            # Not wait_closed(): from Python 3.12 on it waits for the connections as well.
            listener.close()
        return 0

    async def _cut_all(self, *, only_broken: bool = False) -> int:
        chosen = [c for c in self._connections if c.has_lost or not only_broken]
        for connection in chosen:
            connection.cut()
        return len(chosen)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            port, behind = await self._connect()
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        if behind is None:
            self.turned_away += 1
            writer.transport.abort()
            return
        connection = _Connection(writer, behind[1], port)
        self._connections.add(connection)
        pumps = [
            asyncio.ensure_future(self._pump(connection, reader, behind[1], self._onward)),
            asyncio.ensure_future(self._pump(connection, behind[0], writer, self._back)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._connections.discard(connection)
            for pump in pumps:
                pump.cancel()
            for end in (connection.client, connection.server):
                end.close()

    async def _connect(
        self,
    ) -> tuple[int, tuple[asyncio.StreamReader, asyncio.StreamWriter] | None]:
        """A connection to one of the ports behind; None if all refuse."""
        ports = (self.target_port, *self.other_ports)
        self._turn += 1
        for at in range(len(ports)):
            port = ports[(self._turn + at) % len(ports)]
            with contextlib.suppress(OSError):
                return port, await asyncio.open_connection("127.0.0.1", port)
        return 0, None

    async def _pump(
        self,
        connection: _Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        may_pass: Callable[[_Connection, bytes], bool],
    ) -> None:
        """Passes bytes on until one of the two ends is gone."""
        with contextlib.suppress(OSError):
            while piece := await reader.read(_PIECE_BYTES):
                if self.delay_seconds:
                    self.delayed += 1
                    await asyncio.sleep(self.delay_seconds)
                if self.is_black_hole or connection.has_lost:
                    self.swallowed += len(piece)
                    connection.has_lost = True
                elif may_pass(connection, piece):
                    writer.write(piece)
                    await writer.drain()

    def _onward(self, connection: _Connection, request: bytes) -> bool:
        if self.trap is not None and self.trap.takes(request):
            connection.is_caught = True
        return True

    def _back(self, connection: _Connection, answer: bytes) -> bool:
        trap = self.trap
        if not connection.is_caught or trap is None:
            return True
        trap.caught += 1
        trap.port = connection.port
        if trap.then is None:
            connection.cut()
        else:
            connection.is_caught = False
            connection.client.write(answer)
            trap.then()
        return False


class ProxyHouse:
    """The thread in which the proxies live."""

    def __init__(self) -> None:
        self._proxies: list[Proxy] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)

    def open(self, name: str, target_port: int, *other_ports: int) -> Proxy:
        """A proxy that listens on a port of its own."""
        proxy = Proxy(name, target_port, self._loop, other_ports=other_ports)
        proxy.accept()
        self._proxies.append(proxy)
        return proxy

    @contextlib.contextmanager
    def running(self) -> Iterator["ProxyHouse"]:
        self._thread.start()
        try:
            yield self
        finally:
            for proxy in self._proxies:
                proxy.refuse()
                proxy.cut()
            asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result(_PATIENCE_SECONDS)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_PATIENCE_SECONDS)
            self._loop.close()


async def _cancel_all() -> None:
    """Ends what still runs, so that the loop closes without a complaint."""
    await _settled()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _settled() -> None:
    """What the event loop was about to begin has begun."""
    for _ in range(_STEPS_TO_SETTLE):
        await asyncio.sleep(0)
