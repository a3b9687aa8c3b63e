"""A coordinator with its spool, and uploads to it over real HTTP."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stt.coordinator.uploads.processor import UploadProcessor
from stt.store.database import Database
from tests.support.coordinator_app import PEOPLES_KEY, CoordinatorThread, KeyedSession
from tests.support.pace import until


@dataclass(frozen=True)
class Site:
    database: Database
    coordinator: CoordinatorThread
    spool: Path

    @property
    def processor(self) -> UploadProcessor:
        found: UploadProcessor = self.coordinator.app.state.processor
        return found

    def spooled(self) -> list[str]:
        return [path.name for path in self.spool.iterdir() if path.name != ".id"]


def send(
    person: KeyedSession, *files: tuple[str, bytes], fields: dict[str, str] | None = None
) -> list[dict[str, Any]]:
    answer = person.post(
        "/upload", data=fields or {}, files=[("file", (name, data)) for name, data in files]
    )
    assert answer.status_code == 202, answer.text
    uploads: list[dict[str, Any]] = answer.json()["uploads"]
    return uploads


def upload_of(person: KeyedSession, upload_id: str) -> dict[str, Any]:
    listed = person.get("/api/uploads").json()["uploads"]
    [found] = [upload for upload in listed if upload["id"] == upload_id]
    return dict(found)


def ended(person: KeyedSession, upload_id: str) -> dict[str, Any]:
    def read() -> dict[str, Any] | None:
        upload = upload_of(person, upload_id)
        return upload if upload["state"] not in ("receiving", "waiting", "cutting") else None

    found: dict[str, Any] = until(read)
    return found


def form_of(name: bytes, data: bytes, boundary: bytes = b"frontier") -> tuple[bytes, str]:
    head = b'--%s\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n'
    body = head % (boundary, name) + data + b"\r\n--%s--\r\n" % boundary
    return body, f"multipart/form-data; boundary={boundary.decode()}"


@contextmanager
def option(person: KeyedSession, name: str, value: object) -> Iterator[None]:
    assert person.patch("/api/options", json={name: value}).status_code == 200
    try:
        yield
    finally:
        person.patch("/api/options", json={name: None})


@contextmanager
def half_sent(site: Site, name: str = "half.wav", size: int = 5_000_000) -> Iterator[socket.socket]:
    """Begin an upload of which a good part is there, and the rest does not come."""
    body, kind = form_of(name.encode(), bytes(size))
    parts = urlsplit(site.coordinator.url)
    with socket.create_connection((str(parts.hostname), parts.port or 0)) as connection:
        head = (
            f"POST /upload HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: {kind}\r\n"
            f"Authorization: Bearer {PEOPLES_KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        connection.sendall(head.encode() + body[: size // 2])
        until(lambda: site.spooled())
        yield connection
