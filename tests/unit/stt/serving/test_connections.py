"""Which connections an HTTP server ends, and when; with real sockets, at times that are made up."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import connect

from stt.serving.connections import (
    HEAD_SECONDS,
    MAX_CLOSED_AT_ONCE,
    MIN_RATE_BYTES,
    RATE_SECONDS,
    BoundedConnection,
    Connections,
)
from tests.support.event_loop import in_event_loop

KEEP_ALIVE_SECONDS = 75
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n"
LARGE = 20_000_000  # more than the system buffers for a reader who is not there

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Site:
    """A server in this event loop; the application answers with what `answer` is."""

    connections: Connections
    port: int = 0
    answer: bytes = b"ok"
    answers_first: bool = False
    principal: object = None
    left: int = 0
    clients: list[Client] = field(default_factory=list)
    may_read: asyncio.Event = field(default_factory=asyncio.Event)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            while (await receive())["type"] != "websocket.disconnect":
                pass
            return
        if self.principal is not None:
            scope["state"]["principal"] = self.principal
        if scope["path"] == "/wait":
            await self.may_read.wait()
        while scope["path"] == "/read" and not self.answers_first:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left += 1
                return
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": self.answer})

    async def client(self, sent: bytes = b"") -> Client:
        """Open a connection, and wait until the server has it and has read what is sent."""
        before = len(self.connections.connections)
        client = await asyncio.open_connection("127.0.0.1", self.port)
        self.clients.append(client)
        await until(lambda: len(self.connections.connections) > before)
        await self.send(client, sent)
        return client

    async def send(self, client: Client, sent: bytes) -> None:
        """Send, and wait until the server has read it."""
        server_side = self.server_side(client)
        expected = server_side.received_bytes + len(sent)
        client[1].write(sent)
        await until(lambda: server_side.received_bytes >= expected)

    def server_side(self, client: Client) -> BoundedConnection:
        name = client[1].get_extra_info("sockname")
        [found] = [one for one in self.bounded() if one.client == name]
        return found

    def bounded(self) -> list[BoundedConnection]:
        return [one for one in self.connections.connections if isinstance(one, BoundedConnection)]


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def answer_of(client: Client) -> bytes:
    """Return one answer, chunked as uvicorn sends those without a length."""
    return await client[0].readuntil(b"0\r\n\r\n")


async def end_of(client: Client) -> bytes:
    """Return all that comes until the server closes."""
    with contextlib.suppress(ConnectionResetError):
        return await client[0].read()
    return b""


async def is_open(client: Client) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            return await client[0].read(1) != b""
    return True


@contextlib.asynccontextmanager
async def serving(limit: int = 100, **options: Any) -> AsyncIterator[Site]:
    site = Site(Connections(limit), **options)
    config = uvicorn.Config(
        site.app,
        interface="asgi3",
        http=BoundedConnection,
        lifespan="off",
        log_config=None,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    config.load()

    def connection() -> asyncio.Protocol:
        return BoundedConnection(config, site.connections, {})

    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        site.may_read.set()
        server.close()
        for one in list(site.connections.connections):
            one.transport.abort()
        for _, writer in site.clients:
            writer.close()
        await until(lambda: not site.connections.connections)


@pytest.mark.parametrize(
    ("sent", "said"), [(b"", b""), (b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"408")]
)
def test_a_connection_without_a_complete_head_ends_after_ten_seconds(
    sent: bytes, said: bytes
) -> None:
    @in_event_loop
    async def test() -> None:
        async with serving() as site:
            client = await site.client(sent)
            now = time.monotonic()
            site.connections.close_slow(now)
            await site.client()  # another one, later
            site.connections.close_slow(now + HEAD_SECONDS - 0.1)
            if sent:
                await site.send(client, b"x")  # which gives it no more time
            assert await is_open(client)
            site.connections.close_slow(now + HEAD_SECONDS)
            end = await end_of(client)
            assert said in end.partition(b"\r\n")[0]
            assert len(site.connections.connections) == 1

    test()


@in_event_loop
async def test_not_so_many_end_at_once_that_others_must_wait() -> None:
    count = MAX_CLOSED_AT_ONCE + 1
    async with serving(limit=count) as site:
        for _ in range(count):
            await site.client()
        now = time.monotonic()
        assert not site.connections.close_slow(now)
        assert site.connections.close_slow(now + HEAD_SECONDS)
        await until(lambda: len(site.connections.connections) == 1)
        assert not site.connections.close_slow(now + HEAD_SECONDS + 1)
        await until(lambda: not site.connections.connections)


@in_event_loop
async def test_a_further_head_has_ten_seconds_from_its_first_byte() -> None:
    async with serving(principal="a person") as site:
        client = await site.client(GET)
        assert b"200 OK" in await answer_of(client)
        now = time.monotonic()
        for seconds in (0, 30, 60):  # nothing more has come: uvicorn's own limit holds
            site.connections.close_slow(now + seconds)
        await site.send(client, b"GET /")
        site.connections.close_slow(now + 61)
        site.connections.close_slow(now + 61 + HEAD_SECONDS - 0.1)
        assert await is_open(client)
        site.connections.close_slow(now + 61 + HEAD_SECONDS)
        assert b"408" in await end_of(client)


@pytest.mark.parametrize(
    ("principal", "seconds"), [("a person", KEEP_ALIVE_SECONDS), (None, HEAD_SECONDS)]
)
def test_an_idle_connection_is_kept_for_long_only_after_an_authenticated_request(
    principal: str | None, seconds: float
) -> None:
    @in_event_loop
    async def test() -> None:
        async with serving(principal=principal) as site:
            client = await site.client(GET)
            await answer_of(client)
            timer = site.server_side(client).timeout_keep_alive_task
            assert timer is not None
            left = timer.when() - asyncio.get_running_loop().time()
            assert seconds - 5 < left <= seconds

    test()


@in_event_loop
async def test_a_body_below_the_least_rate_is_refused_and_the_application_sees_it_leave() -> None:
    async with serving() as site:
        client = await site.client(POST)
        now = time.monotonic()
        site.connections.close_slow(now)
        await site.send(client, b"x" * (MIN_RATE_BYTES - 1))
        site.connections.close_slow(now + RATE_SECONDS - 0.1)
        assert await is_open(client)
        site.connections.close_slow(now + RATE_SECONDS)
        assert b"408" in (await end_of(client)).partition(b"\r\n")[0]
        await until(lambda: site.left == 1)


@in_event_loop
async def test_a_slow_upload_that_goes_on_is_never_ended() -> None:
    """A phone at 2 kB/s, which also stands still for 50 s at a time."""
    async with serving() as site:
        client = await site.client(POST)
        now = time.monotonic()
        site.connections.close_slow(now)
        for _ in range(20):
            await site.send(client, b"x" * 2 * MIN_RATE_BYTES)
            for seconds in (10, 30, 50):
                site.connections.close_slow(now + seconds)
            now += 50
        assert await is_open(client)
        assert site.left == 0


@in_event_loop
async def test_a_body_behind_its_answer_has_the_same_limit() -> None:
    """The application has refused it without reading, and the client sends on."""
    async with serving(answers_first=True) as site:
        client = await site.client(POST)
        await answer_of(client)
        now = time.monotonic()
        site.connections.close_slow(now)
        await site.send(client, b"x")
        site.connections.close_slow(now + RATE_SECONDS)
        assert await end_of(client) == b""


@in_event_loop
async def test_a_body_that_the_server_does_not_read_is_not_the_clients_fault() -> None:
    async with serving() as site:
        client = await site.client(POST.replace(b"/read", b"/wait"))
        client[1].write(b"x" * 1_000_000)
        await until(lambda: site.server_side(client).flow.read_paused)
        now = time.monotonic()
        site.connections.close_slow(now)
        site.connections.close_slow(now + 10 * RATE_SECONDS)
        assert await is_open(client)


@in_event_loop
async def test_a_client_that_takes_nothing_of_its_answer_is_cut_off() -> None:
    async with serving(answer=b"x" * LARGE) as site:
        client = await site.client(GET)
        server_side = site.server_side(client)
        await until(server_side.transport.get_write_buffer_size)
        client[0]._transport.pause_reading()  # type: ignore[attr-defined]
        await until_still(server_side)
        now = time.monotonic()
        site.connections.close_slow(now)
        site.connections.close_slow(now + RATE_SECONDS - 0.1)
        assert not server_side.transport.is_closing()
        site.connections.close_slow(now + RATE_SECONDS)
        assert server_side.transport.is_closing()
        await until(lambda: not site.connections.connections)


@in_event_loop
async def test_a_client_that_reads_slowly_gets_its_answer() -> None:
    async with serving(answer=b"x" * LARGE) as site:
        client = await site.client(GET)
        server_side = site.server_side(client)
        now = time.monotonic()
        received = 0
        while received < LARGE:
            site.connections.close_slow(now)
            received += len(await client[0].read(4 * MIN_RATE_BYTES))
            now += 1
        site.connections.close_slow(now + RATE_SECONDS)
        assert await is_open(client)
        assert server_side in site.connections.connections


@in_event_loop
async def test_a_reader_with_as_much_left_to_take_each_time_is_not_cut_off() -> None:
    """At 64 kB/s, where the application writes a block of 64 kB a second."""
    async with serving(answer=b"x" * LARGE) as site:
        client = await site.client(GET)
        server_side = site.server_side(client)
        client[0]._transport.pause_reading()  # type: ignore[attr-defined]
        await until_still(server_side)
        now = time.monotonic()
        for second in range(3 * int(RATE_SECONDS)):
            site.connections.close_slow(now + second)
            server_side.resume_writing()  # as the transport does when a block has left
        assert not server_side.transport.is_closing()


async def until_still(server_side: BoundedConnection) -> None:
    """Wait until the system takes no more of the answer."""
    before = -1
    while before != (now := server_side.transport.get_write_buffer_size()):
        before = now
        await asyncio.sleep(0.05)


@in_event_loop
async def test_a_new_connection_at_the_limit_ends_the_one_that_is_silent_for_longest() -> None:
    async with serving(limit=3) as site:
        working = await site.client(POST)
        idle = await site.client(GET)
        await answer_of(idle)
        silent = await site.client()
        newer = await asyncio.open_connection("127.0.0.1", site.port)
        site.clients.append(newer)
        assert await end_of(silent) == b""
        newest = await asyncio.open_connection("127.0.0.1", site.port)
        site.clients.append(newest)
        assert await end_of(newer) == b""
        for client in (working, idle, newest):
            assert await is_open(client)


@in_event_loop
async def test_then_the_one_that_is_idle_for_longest_and_never_one_with_a_request() -> None:
    async with serving(limit=2) as site:
        working = await site.client(POST)
        idle = await site.client(GET)
        await answer_of(idle)
        newer = await asyncio.open_connection("127.0.0.1", site.port)
        site.clients.append(newer)
        assert await end_of(idle) == b""
        newer[1].write(POST)
        await until(lambda: all(one.is_answering for one in site.bounded()))
        refused = await asyncio.open_connection("127.0.0.1", site.port)
        site.clients.append(refused)
        assert await end_of(refused) == b""
        assert await is_open(working)
        assert await is_open(newer)


@in_event_loop
async def test_a_websocket_may_be_silent_for_as_long_as_it_likes() -> None:
    async with serving(limit=1) as site, connect(f"ws://127.0.0.1:{site.port}/") as socket:
        now = time.monotonic()
        for seconds in (0, HEAD_SECONDS, RATE_SECONDS, 3_600):
            site.connections.close_slow(now + seconds)
        refused = await asyncio.open_connection("127.0.0.1", site.port)
        site.clients.append(refused)
        assert await end_of(refused) == b""
        await asyncio.wait_for(await socket.ping(), 20)
