"""The proxies of the chaos tool, between real sockets."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tools.chaos_lab.proxy import AnswerTrap, Proxy, ProxyHouse


class Echo:
    """A server that answers each line with `you said …`, and notes what it acted on."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while line := connection.recv(1024):
                self.heard.append(line)
                connection.sendall(b"you said " + line)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # closed already
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(60)
        self._listener.close()
        for connection in self._open:
            connection.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with ProxyHouse().running() as house:
        yield house.open("to echo", echo.port)


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with connected(proxy) as connection:
        yield connection


def connected(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=60)


def ask(connection: socket.socket, line: bytes) -> bytes:
    connection.sendall(line)
    return connection.recv(1024)


def is_cut(connection: socket.socket) -> bool:
    try:
        return connection.recv(1024) == b""
    except ConnectionError:
        return True


def test_bytes_pass_both_ways(client: socket.socket) -> None:
    assert ask(client, b"hello") == b"you said hello"
    assert ask(client, b"again") == b"you said again"


def test_a_cut_ends_every_open_connection_and_no_later_one(
    proxy: Proxy, client: socket.socket
) -> None:
    ask(client, b"hello")
    assert proxy.cut() == 1
    assert is_cut(client)
    with connected(proxy) as later:
        assert ask(later, b"hello") == b"you said hello"


def test_delayed_bytes_come_late_and_whole(proxy: Proxy, client: socket.socket) -> None:
    proxy.delay_seconds = 0.1
    began = time.monotonic()
    assert ask(client, b"hello") == b"you said hello"
    assert time.monotonic() - began >= 0.2  # there and back
    assert proxy.delayed == 2


def test_a_black_hole_swallows_and_what_it_touched_stays_broken(
    proxy: Proxy, client: socket.socket, echo: Echo
) -> None:
    ask(client, b"before")
    proxy.is_black_hole = True
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        ask(client, b"into the dark")
    assert echo.heard == [b"before"]
    assert proxy.swallowed == len(b"into the dark")
    proxy.end_black_hole()
    assert is_cut(client)
    with connected(proxy) as later:
        assert ask(later, b"hello") == b"you said hello"


def test_a_trap_loses_the_answer_after_the_server_acted(
    proxy: Proxy, client: socket.socket, echo: Echo
) -> None:
    proxy.trap = AnswerTrap((b"write",), 1)
    assert ask(client, b"read 1") == b"you said read 1"
    client.sendall(b"write 1")
    assert is_cut(client)
    assert echo.heard == [b"read 1", b"write 1"]
    assert proxy.trap.caught == 1
    with connected(proxy) as later:  # it was set for one
        assert ask(later, b"write 2") == b"you said write 2"


def test_a_proxy_that_refuses_listens_no_more_until_it_accepts_again(proxy: Proxy) -> None:
    port = proxy.port
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        connected(proxy)
    proxy.accept()
    assert proxy.port == port
    with connected(proxy) as later:
        assert ask(later, b"hello") == b"you said hello"


def test_a_connection_to_nothing_is_reset(proxy: Proxy, echo: Echo) -> None:
    echo.close()
    with connected(proxy) as client:
        assert is_cut(client)


def test_a_trap_may_do_something_in_the_moment_in_which_the_answer_leaves(
    proxy: Proxy, client: socket.socket
) -> None:
    done = threading.Event()
    proxy.trap = AnswerTrap((b"write",), 1, then=done.set)
    assert ask(client, b"write 1") == b"you said write 1"
    assert done.wait(60)
    assert proxy.trap.caught == 1
    assert ask(client, b"write 2") == b"you said write 2"


def test_a_proxy_in_front_of_two_deals_connections_out_and_past_one_that_is_gone() -> None:
    first, second = Echo(), Echo()
    with ProxyHouse().running() as house:
        proxy = house.open("to either", first.port, second.port)
        for _ in range(4):
            with connected(proxy) as connection:
                ask(connection, b"hello")
        assert (len(first.heard), len(second.heard)) == (2, 2)
        first.close()
        for _ in range(2):
            with connected(proxy) as connection:
                assert ask(connection, b"hello") == b"you said hello"
    second.close()
