"""Sockets of servers: a port that can be opened, or one clear line."""

import socket
from unittest.mock import Mock

import pytest

from stt.serving.listening import CannotListen, listening_socket, url_of


def test_port_0_takes_a_free_one_and_the_address_can_be_opened() -> None:
    with listening_socket("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        assert url_of(sock) == f"http://127.0.0.1:{port}"
        socket.create_connection(("127.0.0.1", port), timeout=60).close()


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    sock = Mock(getsockname=lambda: ("::1", 8000, 0, 0))
    assert url_of(sock) == "http://[::1]:8000"


def test_a_port_in_use_is_one_clear_line_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=f"Port {port} on 127.0.0.1 is in use.*--port"):
            listening_socket("127.0.0.1", port)


@pytest.mark.parametrize("host", ["no such host", "x" * 300, "203.0.113.1"])
def test_an_address_that_is_not_this_machines_is_one_clear_line(host: str) -> None:
    with pytest.raises(CannotListen, match="Cannot listen on") as caught:
        listening_socket(host, 0)
    assert "\n" not in str(caught.value)
