"""Messages come out as they went in, and nonsense is refused."""

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from stt.media.decoder_messages import receive_message, send_message


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_fields_and_data_come_out(ends: tuple[socket.socket, socket.socket]) -> None:
    send_message(ends[0], {"do": "block", "text": "é"}, b"\0\1")
    send_message(ends[0], {})
    assert receive_message(ends[1]) == ({"do": "block", "text": "é"}, b"\0\1", None)
    assert receive_message(ends[1]) == ({}, b"", None)


def test_an_open_file_comes_along_if_it_is_wanted(
    ends: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with (tmp_path / "file").open("rb") as file:
        for _ in range(2):
            send_message(ends[0], {"do": "open"}, descriptor=file.fileno())
    assert receive_message(ends[1]).file is None
    received = receive_message(ends[1], with_file=True).file
    assert received is not None
    with received:
        assert received.read() == b"content"


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack(">II", 1 << 31, 0),
        struct.pack(">II", 2, 1 << 31) + b"{}",
        struct.pack(">II", 2, 0) + b"[]",
        struct.pack(">II", 2, 0) + b"{{",
    ],
)
def test_nonsense_is_refused(ends: tuple[socket.socket, socket.socket], sent: bytes) -> None:
    ends[0].sendall(sent)
    with pytest.raises(ValueError, match=r".+"):
        receive_message(ends[1])


@pytest.mark.parametrize("sent", [b"", b"\0\0", struct.pack(">II", 2, 9) + b"{}half"])
def test_the_end_is_seen_wherever_it_comes(
    ends: tuple[socket.socket, socket.socket], sent: bytes
) -> None:
    ends[0].sendall(sent)
    ends[0].close()
    with pytest.raises(EOFError):
        receive_message(ends[1])
