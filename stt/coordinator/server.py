"""The application in uvicorn: its port, its signals, its exit code."""

import ipaddress
import logging
import signal
import socket
from typing import Any

import uvicorn

from stt.coordinator.app import create_app
from stt.coordinator.context import Coordinator
from stt.errors import EXIT_INTERRUPTED
from stt.serving.listening import url_of
from stt.serving.server import BoundedServer

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
    logger.info("Listening on %s", url_of(sock))
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
    """A server, but a signal also ends what waits for clients."""

    def __init__(self, coordinator: Coordinator) -> None:
        super().__init__(uvicorn_config(coordinator))
        self._closing = coordinator.closing
        self.was_interrupted = False

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
