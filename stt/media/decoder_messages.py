"""The messages between a program and its decoder process: JSON fields, bytes, and an open file.

A request with `do` gets one answer. A program that receives an answer does not trust it: its size
is bounded, and it holds nothing but numbers, texts and samples.
"""

import json
import os
import socket
import struct
from typing import Any, BinaryIO, NamedTuple

MAX_FIELDS_BYTES = 16 << 20
MAX_DATA_BYTES = 256 << 20

_HEAD = struct.Struct(">II")


class Message(NamedTuple):
    """`fields` by name, `data`, and perhaps an open file."""

    fields: dict[str, Any]
    data: bytes | bytearray
    file: BinaryIO | None = None


def send_message(
    connection: socket.socket,
    fields: dict[str, Any],
    data: bytes | memoryview = b"",
    descriptor: int | None = None,
) -> None:
    """Send a message; `descriptor` is that of an open file. Raise OSError if the other end died."""
    text = json.dumps(fields).encode()
    head = _HEAD.pack(len(text), len(data))
    if descriptor is None:
        connection.sendall(head + text)
    else:
        sent = socket.send_fds(connection, [head], [descriptor])
        connection.sendall(head[sent:] + text)
    if data:
        connection.sendall(data)


def receive_message(connection: socket.socket, *, with_file: bool = False) -> Message:
    """Wait for a message; take a file that comes along only if `with_file` is given.

    Raise EOFError if the other end is gone, ValueError for nonsense.
    """
    head, descriptors = b"", list[int]()
    if with_file:
        head, descriptors, _, _ = socket.recv_fds(connection, _HEAD.size, 1)
        if not head:
            raise EOFError
    head += _exactly(connection, _HEAD.size - len(head))
    fields_bytes, data_bytes = _HEAD.unpack(head)
    if fields_bytes > MAX_FIELDS_BYTES or data_bytes > MAX_DATA_BYTES:
        raise ValueError(f"a message of {fields_bytes} and {data_bytes} bytes")
    fields = json.loads(_exactly(connection, fields_bytes))
    if not isinstance(fields, dict):
        raise ValueError("a message without fields")
    data = _exactly(connection, data_bytes)
    return Message(fields, data, os.fdopen(descriptors[0], "rb") if descriptors else None)


def _exactly(connection: socket.socket, count: int) -> bytearray:
    data = bytearray(count)
    view, filled = memoryview(data), 0
    while filled < count:
        received = connection.recv_into(view[filled:])
        if not received:
            raise EOFError
        filled += received
    return data
