"""Keep pages of other sites from a server that asks for no key."""

from collections.abc import Callable, Collection
from typing import Literal

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from stt.serving.hosts import AllowedHosts
from stt.serving.senders import Sender, is_followed_link, sender_of

Fault = Literal["host", "page"]


class BrowserGuard:
    """ASGI middleware: refuses other Hosts and pages of other sites with what `refuse` returns.

    Pages of `origins` are let in; of all sites if one of them is `*`.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: AllowedHosts,
        refuse: Callable[[HTTPConnection, Fault], Response],
        origins: Collection[str] = (),
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._refuse = refuse
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            connection = HTTPConnection(scope)
            if (fault := self._fault(connection)) is not None:
                await self._refuse(connection, fault)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _fault(self, connection: HTTPConnection) -> Fault | None:
        headers = connection.headers
        if not self._hosts.is_allowed(headers.get("host")):
            return "host"
        if "*" in self._origins or headers.get("origin") in self._origins:
            return None
        # A WebSocket is opened by GET, but is no link: browsers send no Sec-Fetch-Dest: document.
        method = connection.scope.get("method", "GET")
        is_refused = sender_of(headers) is Sender.OTHER_PAGE and not is_followed_link(
            headers, method
        )
        return "page" if is_refused else None
