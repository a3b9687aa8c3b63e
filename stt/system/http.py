"""HTTP requests to coordinators, whisper servers and node pages, with bounded answers.

An answer is bounded in size and time, is not compressed, and is not followed elsewhere: whatever
stands at the address can neither fill this machine's memory, nor keep a thread for ever, nor send
the key to another host.
"""

import io
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from stt.errors import SttError
from stt.system.net import is_loopback

MAX_ANSWER_BYTES = 32 * 1024 * 1024
MAX_SHORT_ANSWER_BYTES = 1024 * 1024
"""For answers that describe something, and for errors."""

_BLOCK_BYTES = 65_536
_MAX_CONNECTIONS = 64

Timeout = float | tuple[float, float]
"""Seconds for each wait; or for connecting, and for each wait after that."""


class UnreadableAnswer(requests.RequestException):
    """The answer is too large, or compressed though that was not asked for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response, of any status."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    reason: str = ""

    def json(self) -> Any:
        """Raise ValueError."""
        return read_json(self.body)

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")


class RequestBody(io.BytesIO):
    """The body of a request; it records whether any of it, and all of it, was sent."""

    is_started = False
    is_sent = False

    def read(self, size: int | None = -1, /) -> bytes:
        self.is_started = True
        block = super().read(size)
        self.is_sent = not block  # a read at the end follows the sending of the last block
        return block


def read_json(text: str | bytes) -> Any:
    """Return the value. Raise ValueError, also for one that is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def http_session(url: str, key: str | None = None) -> requests.Session:
    """Return a session for requests to the server at `url`, with `key` as a Bearer token."""
    session = requests.Session()
    # A proxy cannot reach this machine's loopback addresses.
    session.trust_env = not is_loopback(url)
    session.headers["Accept-Encoding"] = "identity"
    if key:
        session.headers["Authorization"] = f"Bearer {key}"
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter(pool_maxsize=_MAX_CONNECTIONS))
    return session


def fetch(
    session: requests.Session,
    method: str,
    url: str,
    *,
    timeout: Timeout,
    total_seconds: float,
    max_bytes: int = MAX_ANSWER_BYTES,
    reads_body: bool = True,
    **options: Any,
) -> Answer:
    """Make a request and return its answer, of any status; a redirect is not followed.

    Raise requests.RequestException or urllib3's HTTPError: ReadTimeout too where the answer is not
    whole within `total_seconds`, UnreadableAnswer for one of more than `max_bytes`. Without
    `reads_body` the answer's status and headers are all of it.
    """
    with (
        _time_limit(total_seconds),
        session.request(
            method, url, stream=True, allow_redirects=False, timeout=timeout, **options
        ) as response,
    ):
        body = _read(response, max_bytes) if reads_body else b""
        return Answer(response.status_code, response.headers, body, response.reason or "")


def reason_of(error: Exception) -> str:
    """Return the innermost reason of a failed request, without the addresses of objects."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    cause: BaseException = error
    seen = {cause}  # an exception that was raised twice may be a cause of itself
    while not getattr(cause, "strerror", None):
        inner = cause.__cause__ or cause.__context__
        # An error of ours is one that was being handled when the request was made.
        if inner is None or inner in seen or isinstance(inner, SttError):
            break
        seen.add(inner)
        cause = inner
    return str(getattr(cause, "strerror", None) or str(cause) or type(cause).__name__)


def _read(response: requests.Response, max_bytes: int) -> bytes:
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding.lower() not in ("", "identity"):
        raise UnreadableAnswer(f"the answer is compressed ({encoding[:20]}), unasked")
    body = bytearray()
    while block := response.raw.read1(_BLOCK_BYTES, decode_content=False):
        body += block
        if len(body) > max_bytes:
            raise UnreadableAnswer(f"the answer is larger than {max_bytes // 1024:,} kB")
    return bytes(body)


class _TimeLimit:
    """Ends the connections of one request when its time is over.

    A socket's own timeout is for each wait: a byte now and then would keep a thread for ever.
    """

    def __init__(self, seconds: float) -> None:
        self.is_over = False
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self._timer.start()

    def add(self, sock: socket.socket | None) -> None:
        if sock is not None:
            self._sockets.append(sock)
            if self.is_over:
                self._end()

    def cancel(self) -> None:
        self._timer.cancel()

    def _end(self) -> None:
        self.is_over = True
        for sock in self._sockets:
            with suppress(OSError):
                # That of the plain socket: TLS's own would change the object under its reader.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


_current_limit: ContextVar[_TimeLimit | None] = ContextVar("time limit", default=None)


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Limit the requests made within. Raises ReadTimeout at its end if the time is over."""
    limit = _TimeLimit(seconds)
    token = _current_limit.set(limit)
    try:
        yield
    except (requests.RequestException, HTTPError) as error:
        if limit.is_over and not isinstance(error, UnreadableAnswer):
            raise requests.ReadTimeout("the answer takes too long") from error
        raise
    finally:
        _current_limit.reset(token)
        limit.cancel()
    if limit.is_over:  # the end of the connection looks like the end of an answer
        raise requests.ReadTimeout("the answer takes too long")


class _LimitedConnection(HTTPConnection):
    """A connection that the time limit of its request can end."""

    def connect(self) -> None:
        super().connect()
        self._limit()

    def request(self, *args: Any, **options: Any) -> None:
        self._limit()  # one that was kept from an earlier request
        super().request(*args, **options)

    def _limit(self) -> None:
        limit = _current_limit.get()
        if limit is not None:
            limit.add(self.sock)


class _LimitedTlsConnection(_LimitedConnection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _LimitedConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _LimitedTlsConnection


class _Adapter(HTTPAdapter):
    """The transport of a session; its connections end with the time limit of their request."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        return manager
