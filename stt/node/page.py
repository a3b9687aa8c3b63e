"""The node's page, for the person at this machine: `http://127.0.0.1:8001`.

It listens on this machine alone and changes nothing. It needs no key, so it answers no page of
another site, under whatever name that reaches it.
"""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse

from stt.errors import ConfigError
from stt.node.agent import NodeAgent
from stt.serving.browser_guard import BrowserGuard, Fault
from stt.serving.hosts import AllowedHosts
from stt.serving.server import BoundedServer

logger = logging.getLogger(__name__)

_HOST = "127.0.0.1"
_MAX_PORTS = 20
_MAX_CONNECTIONS = 50
_SHUTDOWN_SECONDS = 3.0
_WEB = Path(__file__).with_name("web")
_HEADERS = [
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        " img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
]

_FLEET_FIELDS = ("counts", "rate", "eta_seconds", "nodes", "audio_seconds_done")


def create_app(node: NodeAgent) -> FastAPI:
    """Return the ASGI application of the page."""
    app = FastAPI(title="stt node", openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/api/state")
    def state() -> dict[str, Any]:
        status = node.fleet.get()  # first: it also finds out whether the coordinator answers
        fleet = None if status is None else {name: status.get(name) for name in _FLEET_FIELDS}
        return asdict(node.status()) | {"fleet": fleet}

    app.mount("/", StaticFiles(directory=_WEB, html=True))
    app.add_middleware(BrowserGuard, hosts=AllowedHosts(_HOST), refuse=_refusal)
    return app


def _refusal(_: HTTPConnection, fault: Fault) -> PlainTextResponse:
    if fault == "host":
        return PlainTextResponse("This page is called localhost or 127.0.0.1.", 400)
    return PlainTextResponse("A page of another site asked for this.", 403)


@contextmanager
def page(node: NodeAgent, port: int) -> Iterator[str]:
    """Serve the page, and return its address, which is recorded for `stt node status`.

    Its port is the first free one from `port` on. Raises ConfigError if none is free.
    """
    with _listen(port) as listener:
        free_port = listener.getsockname()[1]
        if free_port != port and port:
            logger.info("Port %d is taken: the node's page is on port %d", port, free_port)
        config = uvicorn.Config(
            create_app(node),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            headers=_HEADERS,
            timeout_graceful_shutdown=1,
        )
        server = BoundedServer(config, _MAX_CONNECTIONS)
        thread = threading.Thread(target=server.run, args=([listener],), name="page", daemon=True)
        thread.start()
        try:
            url = f"http://{_HOST}:{free_port}"
            node.lock.update(page_url=url)
            logger.info("The node's page: %s", url)
            yield url
        finally:
            server.should_exit = True
            thread.join(_SHUTDOWN_SECONDS)


def _listen(port: int) -> socket.socket:
    candidates = range(port, min(port + _MAX_PORTS, 65_536)) if port else (0,)
    reason = "none is free"
    for candidate in candidates:
        try:
            return socket.create_server((_HOST, candidate))
        except OSError as error:
            reason = error.strerror or str(error)
    raise ConfigError(
        f"The node's page finds no port from {port} on ({reason}): name one with --page-port"
    )
