"""The application in uvicorn: its port, its signals, its exit code."""

import errno
import ipaddress
import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from stt.coordinator.app import create_app
from stt.coordinator.context import Coordinator
from stt.errors import EXIT_INTERRUPTED, ConfigError
from stt.serving.server import BoundedServer
from stt.system.signals import on_signals

_GRACE_SECONDS = 3
"""How long a request may go on after SIGTERM or Ctrl-C; long polls and sockets end at once."""
_KEEP_ALIVE_SECONDS = 75
"""Longer than a node's pause between two requests, which would meet a closing connection."""
_MAX_SOCKET_MESSAGE = 1024 * 1024

logger = logging.getLogger(__name__)


def serve(coordinator: Coordinator, sock: socket.socket) -> int:
    """Serve at this socket until a signal; return the exit code."""
    _log_errors_with(logging.getLogger("stt"))
    server = _Server(coordinator)
    logger.info("Listening on %s", _url(sock))
    if coordinator.settings.public_url is not None:
        logger.info("Its address for others: %s", coordinator.settings.public_url)
    if not ipaddress.ip_address(sock.getsockname()[0].partition("%")[0]).is_loopback:
        logger.warning(
            "Others can reach this address, and it speaks plain HTTP: on a network that is not"
            " yours alone, keys and recordings can be read on the way. Put a proxy with TLS in"
            " front of it, or a VPN around it"
        )
    server.run(sockets=[sock])
    return EXIT_INTERRUPTED if server.was_interrupted else 0


def listening_socket(host: str, port: int) -> socket.socket:
    """Bind before all else, so that a taken port is one clear line. Raises ConfigError."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"Cannot listen on {host}: {reason}.") from error
    try:
        is_dual = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        return socket.create_server(address, family=family, backlog=2048, dualstack_ipv6=is_dual)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"Port {port} on {host} is in use by another program: stop that one, or choose"
                " another port with --port (0 takes a free one)."
            ) from error
        reason = os.strerror(error.errno or 0)
        raise ConfigError(f"Cannot listen on {host}:{port}: {reason}.") from error


def uvicorn_config(coordinator: Coordinator) -> uvicorn.Config:
    """Return the application, and how uvicorn runs it."""
    proxies = coordinator.settings.trusted_proxies
    return uvicorn.Config(
        create_app(coordinator),
        log_config=None,
        access_log=False,  # access_log.py writes its own, without query strings
        server_header=False,
        proxy_headers=proxies is not None,
        forwarded_allow_ips=proxies or "",
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        ws_max_size=_MAX_SOCKET_MESSAGE,
    )


class _Server(BoundedServer):
    """A server, but a signal also ends what waits for clients, and is not raised again."""

    def __init__(self, coordinator: Coordinator) -> None:
        super().__init__(uvicorn_config(coordinator))
        self._closing = coordinator.closing
        self.was_interrupted = False

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with on_signals(self.handle_exit):
            yield

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.was_interrupted = self.was_interrupted or sig == signal.SIGINT
        self._closing.set()
        super().handle_exit(sig, frame)


def _log_errors_with(ours: logging.Logger) -> None:
    """Send uvicorn's warnings and tracebacks where our own log goes."""
    errors = logging.getLogger("uvicorn.error")
    errors.handlers, errors.propagate = ours.handlers, False
    errors.setLevel(logging.WARNING)  # lower levels log whole addresses, with their secrets
    # Uvicorn warns of every WebSocket that was refused.
    errors.addFilter(lambda record: "without completing handshake" not in record.msg)


def _url(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
