"""A client of resumable uploads that sends what a test tells it to."""

import base64
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from requests import Response

from tests.support.coordinator_app import PEOPLES_KEY, KeyedSession
from tests.support.upload_site import Site

TUS = {"Tus-Resumable": "1.0.0"}
PART = {**TUS, "Content-Type": "application/offset+octet-stream"}


def create(person: KeyedSession, size: int, filename: str = "talk.wav", **query: str) -> Response:
    metadata = f"filename {base64.b64encode(filename.encode()).decode()},filetype YQ=="
    headers = {**TUS, "Upload-Length": str(size), "Upload-Metadata": metadata}
    return person.post("/api/uploads", headers=headers, params=query)


def begin(person: KeyedSession, size: int, filename: str = "talk.wav", **query: str) -> str:
    """Begin an upload; return its path."""
    answer = create(person, size, filename, **query)
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"]


def append(person: KeyedSession, path: str, offset: int, data: bytes) -> Response:
    return person.patch(path, data=data, headers={**PART, "Upload-Offset": str(offset)})


def offset_of(person: KeyedSession, path: str) -> int:
    answer = person.head(path, headers=TUS)
    assert answer.status_code == 200
    return int(answer.headers["Upload-Offset"])


@contextmanager
def half_sent(site: Site, path: str, data: bytes, size: int) -> Iterator[socket.socket]:
    """Send `data`, the first part of a request of `size` bytes of which no more comes."""
    parts = urlsplit(site.coordinator.url)
    with socket.create_connection((str(parts.hostname), parts.port or 0)) as connection:
        head = f"PATCH {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {size}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in PART.items())
        head += f"Upload-Offset: 0\r\nAuthorization: Bearer {PEOPLES_KEY}\r\n\r\n"
        connection.sendall(head.encode() + data)
        yield connection
