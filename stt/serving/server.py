"""Uvicorn that silent, slow and many connections do not stop: `BoundedServer`.

Uvicorn itself waits for a request head without end, takes as many connections as come, and asyncio
logs each one for which no file is left, thousands a second.
"""

import asyncio
import gc
import logging
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from stt.serving.connections import AT_LIMIT, BoundedConnection, Connections
from stt.system.signals import on_signals

MAX_FILES = 8_192
"""The number of open files that is asked for at the start; a system may give less."""

_CONNECTIONS_SHARE = 0.75
"""Of the files; the rest is for uploads, the database, models and child processes."""
_LISTEN_BACKLOG = 1_024
_ACCEPTED_AT_ONCE = 32
"""Some rounds of the event loop pass before others are closed for those that were accepted."""
_TICKS_A_SECOND = 10  # uvicorn's

_NO_FILE = "No file is left for a new connection: raise the limit of open files (ulimit -n)"
_LOG_SECONDS = {
    AT_LIMIT: 60.0,
    _NO_FILE: 1.0,
    "Invalid HTTP request received.": 1.0,
    "Unsupported upgrade request.": 1.0,
}
"""Seconds between two lines with such a message, which anybody may cause: clients without a key."""

logger = logging.getLogger("uvicorn.error")


class BoundedServer(uvicorn.Server):
    """A `uvicorn.Server` with HTTP/1.1 on asyncio whose connections are bounded.

    See `connections.py`. There are at most `max_connections`, by default three quarters of the
    files that the process may open; that number is raised first, up to MAX_FILES.
    """

    server_state: Connections

    def __init__(self, config: uvicorn.Config, max_connections: int | None = None) -> None:
        config.http, config.loop, config.backlog = BoundedConnection, "asyncio", _ACCEPTED_AT_ONCE
        super().__init__(config)
        most = int(_raise_file_limit() * _CONNECTIONS_SHARE)
        self.server_state = Connections(min(most, max_connections or most))
        self._has_slow = False
        self._log_filter = _RareMessages()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(self._handle_loop_error)
        logger.addFilter(self._log_filter)
        await super().startup(sockets)
        for listening in sockets or ():  # until now as many wait as are accepted at once
            listening.listen(_LISTEN_BACKLOG)
        if threading.current_thread() is threading.main_thread():  # the process is the server's own
            _leave_out_of_collections()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGHUP too, and raise no signal once more at the end, as uvicorn does."""
        with on_signals(self.handle_exit):
            yield

    async def on_tick(self, counter: int) -> bool:
        if self._has_slow or counter % _TICKS_A_SECOND == 0:
            self._has_slow = self.server_state.close_slow(time.monotonic())
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        logger.removeFilter(self._log_filter)

    def _handle_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if context["message"].startswith("socket.accept() out of system resource"):
            logger.error(_NO_FILE)
            self.server_state.close_longest_waiting()
        else:
            loop.default_exception_handler(context)


def _leave_out_of_collections() -> None:
    """Keep what is there now, modules above all, out of all collections of garbage.

    Each connection leaves some garbage, and to collect it stops all requests: with the modules that
    took 0.1 to 0.4 s in a flood.
    """
    gc.collect()
    gc.freeze()


class _RareMessages(logging.Filter):
    """Drops a message of `_LOG_SECONDS` that comes too soon after the last one."""

    def __init__(self) -> None:
        super().__init__()
        self._logged_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        seconds, now = _LOG_SECONDS.get(str(record.msg)), time.monotonic()
        if seconds is None:
            return True
        if now - self._logged_at.get(record.msg, -seconds) < seconds:
            return False
        self._logged_at[record.msg] = now
        return True


def _raise_file_limit() -> int:
    """Raise the limit of open files to MAX_FILES if it can be, and return how many may be used.

    At most MAX_FILES, also where more are allowed.
    """
    if sys.platform == "win32":
        return MAX_FILES
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(MAX_FILES, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # macOS has a limit of its own below the hard one
        return soft
    return wanted
