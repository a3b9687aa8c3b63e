"""Count every request, and log each one that changed something or failed, without secrets.

No query strings, headers or bodies are logged: a path says enough, and holds ids alone.
"""

import logging

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Scope

from stt.coordinator.authenticator import Person, address_of
from stt.coordinator.metrics import Metrics
from stt.domain.node import Node
from stt.serving.request_end import CLIENT_GONE, RequestEnd, route_of
from stt.serving.senders import SAFE_METHODS

logger = logging.getLogger(__name__)

_MAX_PATH = 200


class AccessLog(RequestEnd):
    """ASGI middleware. Reads, and what nodes do all day long, are logged at DEBUG.

    A response that never began is logged as a 500 and counted as a 499.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        super().__init__(app)
        self._metrics = metrics

    def ended(self, scope: Scope, status: int | None, seconds: float) -> None:
        counted = status or CLIENT_GONE
        self._metrics.request_ended(route_of(scope), scope["method"], counted, seconds)
        _log(scope, status or 500, seconds)


def _log(scope: Scope, status: int, seconds: float) -> None:
    principal = scope["state"].get("principal")
    level = logging.DEBUG
    if status >= 500:
        level = logging.WARNING
    elif status >= 400 or not (isinstance(principal, Node) or scope["method"] in SAFE_METHODS):
        level = logging.INFO
    logger.log(
        level,
        "%s %s %s %d in %.0f ms, request %s",
        _name(scope, principal),
        scope["method"],
        scope["path"][:_MAX_PATH],
        status,
        seconds * 1_000,
        scope["state"].get("request_id"),
    )


def _name(scope: Scope, principal: object) -> str:
    if isinstance(principal, Node):
        return f"node {principal.id}"
    address = address_of(HTTPConnection(scope))
    return f"person at {address}" if isinstance(principal, Person) else f"unknown at {address}"
