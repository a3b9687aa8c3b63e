"""Bounds on the connections of an HTTP server in uvicorn; `server.py` puts them to use.

A connection is closed when it
- has sent no complete request head 10 s after it was opened, or after a further head began;
- brings less than 1 kB/s of a request's body over a minute, while the server is ready to read it;
- takes less than 1 kB/s of an answer over a minute.
Between two requests it stays open for the server's keep-alive time if the last one was
authenticated, else for 10 s. Where there are more connections than allowed, one without a request
is closed for each new one: the one that waits longest.

The rate is that of Apache's mod_reqtimeout (MinRate), in whole minutes: an upload may be slow, and
may stand still for most of a minute, but cannot go on for ever without going forward.
"""

import asyncio
import logging
from dataclasses import dataclass
from enum import Enum
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

HEAD_SECONDS = 10
RATE_SECONDS = 60.0
MIN_RATE_BYTES = 60 * 1_000
"""The least that must pass in RATE_SECONDS."""
MAX_CLOSED_AT_ONCE = 100

AT_LIMIT = (
    "All %d connections are in use: each new one ends the one that waits longest without a request."
    " If these are your own, raise the limit of open files (ulimit -n)"
)
_TOO_SLOW = b"The request did not arrive in time: send it again, faster.\n"

_logger = logging.getLogger("uvicorn.error")


class Stage(Enum):
    """What a connection waits for; OTHER is bounded by the application, or by uvicorn."""

    HEAD = "head"
    BODY = "body"
    READER = "reader"
    OTHER = "other"


@dataclass(slots=True)
class _Progress:
    """A stage, its begin on time.monotonic(), and the bytes that have passed since."""

    stage: Stage
    since: float
    bytes: int = 0
    received: int = 0
    drained: int = 0
    unsent: int = 0


class Connections(ServerState):
    """A server's connections, at most `limit` of them."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        # Those without a request, in the order in which they began to wait for one.
        self._new: dict[BoundedConnection, None] = {}
        self._idle: dict[BoundedConnection, None] = {}
        self._progress: dict[Any, _Progress] = {}

    def admit(self, new: "BoundedConnection") -> None:
        """Close another connection, or this new one, where there are too many."""
        if len(self.connections) > self.limit:
            _logger.warning(AT_LIMIT, self.limit)
            self.close_longest_waiting(new)
        self.sort(new)

    def close_longest_waiting(self, instead: "BoundedConnection | None" = None) -> None:
        """Close the one that waits longest for its first request, else for a further one."""
        longest = next(iter(self._new), None) or next(iter(self._idle), None) or instead
        if longest is not None:
            self._new.pop(longest, None)
            self._idle.pop(longest, None)
            longest.transport.abort()

    def sort(self, connection: "BoundedConnection") -> None:
        """Note whether the connection waits for a request."""
        is_waiting = connection.is_waiting
        for waiting, belongs in (
            (self._new, is_waiting and connection.cycle is None),
            (self._idle, is_waiting and connection.cycle is not None),
        ):
            if belongs:
                waiting.setdefault(connection)
            else:
                waiting.pop(connection, None)

    def close_slow(self, now: float) -> bool:
        """Close those that take too long, at this time.monotonic(); call it every second or so.

        Return whether there are more: so many closed at once would keep others waiting.
        """
        before, self._progress = self._progress, {}
        too_slow: list[tuple[Any, Stage]] = []
        for connection in list(self.connections):
            progress = _advanced(connection, before.get(connection), now)
            self._progress[connection] = progress
            if isinstance(connection, BoundedConnection):
                self.sort(connection)
            if _is_too_slow(progress, now):
                too_slow.append((connection, progress.stage))
        for connection, stage in too_slow[:MAX_CLOSED_AT_ONCE]:
            _close(connection, stage)
        return len(too_slow) > MAX_CLOSED_AT_ONCE


class BoundedConnection(H11Protocol):
    """One connection for HTTP, until it is closed or becomes a WebSocket."""

    server_state: Connections

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.received_bytes = 0
        self.drained_bytes = 0
        """What has left at least, each time that the application could write on."""
        self._keep_alive_seconds = self.timeout_keep_alive

    @property
    def is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def is_waiting(self) -> bool:
        """Whether there is no request, and nothing of an answer left to send."""
        return not (
            self.is_answering
            or self.transport.is_closing()
            or self.transport.get_write_buffer_size()
            or self not in self.connections  # it is a WebSocket now
        )

    @property
    def stage(self) -> Stage:
        if self.conn.their_state is h11.SEND_BODY:
            is_wanted = not (
                self.flow.read_paused or (self.is_answering and self.cycle.waiting_for_100_continue)
            )
            return Stage.BODY if is_wanted else Stage.OTHER
        # Uvicorn ends a connection on which nothing of a further head has come.
        has_begun = self.cycle is None or bool(self.conn.trailing_data[0])
        return Stage.HEAD if has_begun and not self.is_answering else Stage.OTHER

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.server_state.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.server_state.sort(self)

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        super().data_received(data)
        self.server_state.sort(self)

    def resume_writing(self) -> None:
        super().resume_writing()
        low, high = self.transport.get_write_buffer_limits()
        self.drained_bytes += high - low

    def on_response_complete(self) -> None:
        is_known = "principal" in self.scope["state"]
        self.timeout_keep_alive = (
            self._keep_alive_seconds if is_known else min(HEAD_SECONDS, self._keep_alive_seconds)
        )
        super().on_response_complete()
        self.server_state.sort(self)

    def refuse_slow_request(self) -> None:
        """Answer 408 if it can still be said, and close."""
        if self.received_bytes and self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
            for event in (
                h11.Response(status_code=408, headers=headers, reason=b"Request Timeout"),
                h11.Data(data=_TOO_SLOW),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        if self.is_answering:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()


def _advanced(connection: Any, before: _Progress | None, now: float) -> _Progress:
    """Return the connection's progress with what has passed since `before`."""
    unsent = connection.transport.get_write_buffer_size()
    is_http = isinstance(connection, BoundedConnection)
    received, drained = 0, 0
    if is_http:
        received, drained = connection.received_bytes, connection.drained_bytes
    stage = connection.stage if is_http else Stage.OTHER
    if unsent:
        stage = Stage.READER
    if before is None or before.stage is not stage:
        return _Progress(stage, now, 0, received, drained, unsent)
    if stage is Stage.BODY:
        before.bytes += received - before.received
    elif stage is Stage.READER:  # what was written meanwhile is not seen: this is the least
        before.bytes += max(drained - before.drained, before.unsent - unsent, 0)
    if before.bytes >= MIN_RATE_BYTES:
        before.since, before.bytes = now, 0
    before.received, before.drained, before.unsent = received, drained, unsent
    return before


def _is_too_slow(progress: _Progress, now: float) -> bool:
    if progress.stage is Stage.OTHER:
        return False
    limit = HEAD_SECONDS if progress.stage is Stage.HEAD else RATE_SECONDS
    return now - progress.since >= limit


def _close(connection: Any, stage: Stage) -> None:
    if stage is Stage.READER:  # what is unsent will not be read
        connection.transport.abort()
    else:
        connection.refuse_slow_request()
