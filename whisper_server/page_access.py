"""Which pages in a browser may use the server.

With a key all that know it: browsers add none by themselves. Without one only the server's own
page, under a name that cannot be another site's. CORS lets pages of other origins read the answers:
https://fetch.spec.whatwg.org/#http-cors-protocol.
"""

import logging
import socket
from collections.abc import Callable

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import Response

from stt.serving.browser_guard import BrowserGuard, Fault
from stt.serving.hosts import AllowedHosts
from whisper_server.errors import ApiError, ForeignHost, ForeignPage
from whisper_server.settings import Settings

_METHODS = ("DELETE", "GET", "HEAD", "POST")
RESPONSE_HEADERS = [
    ("Content-Security-Policy", "frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("X-Content-Type-Options", "nosniff"),
]
"""Of every response: no page shows the server in a frame, where a person would click for it."""
_READABLE_HEADERS = ("Location", "Retry-After", "Warning")

logger = logging.getLogger(__name__)


def add_page_access(
    app: FastAPI, settings: Settings, respond: Callable[[HTTPConnection, ApiError], Response]
) -> None:
    """Add the middleware that the settings ask for; `respond` makes an error's response."""

    def refuse(connection: HTTPConnection, fault: Fault) -> Response:
        host = connection.headers.get("host", "")
        return respond(connection, ForeignPage() if fault == "page" else ForeignHost(host))

    if settings.api_key is None:
        hosts = AllowedHosts(settings.host, settings.allowed_hosts)
        if not hosts.is_on_loopback:
            logger.warning(
                "Without API_KEY everyone who reaches this address can use the server, by address"
                " or as %s; ALLOWED_HOSTS adds names",
                socket.gethostname(),
            )
        app.add_middleware(BrowserGuard, hosts=hosts, refuse=refuse, origins=settings.cors_origins)
    if settings.cors_origins:  # outside of the guard, for preflights
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=_METHODS,
            allow_headers=["*"],
            expose_headers=_READABLE_HEADERS,
        )
