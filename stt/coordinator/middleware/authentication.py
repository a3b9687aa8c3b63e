"""Authentication before every route and every WebSocket; a new route needs a key by default.

```
request ─▶ open without a key? (health, login page, joining) ─ no other site's form ─▶ route
   │ no
   ├─ Authorization: Bearer KEY, X-API-Key: KEY ─▶ five wrong ones from there, and never right? 429
   │                                          ├──▶ the people's key? ─ Person ───▶ route
   │                                          └──▶ a node's key? ───── Node ─────▶ route
   │                                                └─ removed: 410 · wrong: 401, from the fifth 429
   ├─ cookie stt_session ─▶ valid? is it sent by our own page? ──────────────────▶ route
   │                         └─ no: 401  └─ no: 403; reading, also a link, or unknown
   └─ nothing: 401
```

The routes decide what each may do (context.py); here only the sender is found. Secrets are compared
in constant time, or found by their hash, and never logged.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from stt.coordinator.authenticator import Authenticator, Person, Principal, address_of
from stt.coordinator.errors import ApiError, Forbidden, Unauthorized, error_response
from stt.errors import SttError
from stt.serving.senders import SAFE_METHODS, Sender, is_followed_link

COOKIE = "stt_session"
LOGIN_PAGE = Path(__file__).parents[1] / "web" / "login" / "login.html"
AWAY_PAGE = LOGIN_PAGE.with_name("away.html")

OPEN = frozenset({
    ("GET", "/health"), ("HEAD", "/health"),
    ("GET", "/api/system/health"), ("HEAD", "/api/system/health"),
    ("GET", "/login"), ("POST", "/login"),
    ("POST", "/api/nodes/register"),
})  # fmt: skip
"""What needs no key, beside the login page's own files. The last one needs a join code."""
_LOGIN_FILES = "/login/"


class Authentication:
    """ASGI middleware: puts `principal` and `is_authorized` into `scope["state"]`.

    `is_authorized()` checks again whether the key or session is valid; it may read the database.
    """

    def __init__(self, app: ASGIApp, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            connection = HTTPConnection(scope)
            try:
                if _is_open(scope):
                    self._check_open(connection)
                else:
                    principal, is_authorized = await self._authenticate(connection)
                    state = scope.setdefault("state", {})
                    state["principal"], state["is_authorized"] = principal, is_authorized
            except (ApiError, SttError) as error:
                await _refusal(connection, error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check_open(self, connection: HTTPConnection) -> None:
        """Raise Forbidden for another site's form: a login, or wrong codes from this address."""
        sender = self._authenticator.sender_of(connection)
        if sender is Sender.OTHER_PAGE and not _only_reads(connection):
            raise _other_site()

    async def _authenticate(
        self, connection: HTTPConnection
    ) -> tuple[Principal, Callable[[], bool]]:
        authenticator, key, token = self._authenticator, key_of(connection), session_of(connection)
        if key is not None:
            is_authorized = partial(authenticator.is_peoples_key, key)
            address = address_of(connection)
            if authenticator.is_known_fixed_key(key, address):
                return Person(), is_authorized
            principal = await run_in_threadpool(authenticator.by_key, key, address)
            # A node's own socket checks by itself whether the node was removed.
            return principal, is_authorized if isinstance(principal, Person) else lambda: True
        if token is not None:
            if not await run_in_threadpool(authenticator.has_session, token):
                raise Unauthorized("This session is over: log in again.")
            if not _may_use_cookie(connection, authenticator.sender_of(connection)):
                raise _other_site()
            return Person(is_by_cookie=True), partial(authenticator.has_session, token)
        raise Unauthorized("A key is needed: Authorization: Bearer KEY.")


def login_page(error: Unauthorized) -> HTMLResponse:
    """Return what a browser shows in place of a page that needs a session."""
    return HTMLResponse(LOGIN_PAGE.read_text(), status_code=error.status, headers=error.headers)


def key_of(connection: HTTPConnection) -> str | None:
    """Return the key that a program sends along."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return connection.headers.get("x-api-key")


def session_of(connection: HTTPConnection) -> str | None:
    """Return the token of a browser's session."""
    return connection.cookies.get(COOKIE) or None


def _may_use_cookie(connection: HTTPConnection, sender: Sender) -> bool:
    """Return whether this may be done with a cookie, which browsers add for pages on other ports.

    Over plain HTTP they do not say who reads; so no request that only reads may change anything.
    """
    if not _only_reads(connection):
        return sender is Sender.OWN_PAGE
    method = connection.scope["method"]
    return sender is not Sender.OTHER_PAGE or is_followed_link(connection.headers, method)


def _only_reads(connection: HTTPConnection) -> bool:
    scope = connection.scope
    return scope["type"] == "http" and scope["method"] in SAFE_METHODS


def _other_site() -> Forbidden:
    return Forbidden("Another site's page asked for this.", code="csrf")


def _refusal(connection: HTTPConnection, error: ApiError | SttError) -> Response:
    """Return an error as JSON, or for a browser that opens a page as a page."""
    response = error_response(error)
    if not is_navigation(connection):
        return response
    if isinstance(error, Unauthorized):
        return login_page(error)
    if response.status_code == 503:  # this page reloads by itself
        headers = {"Retry-After": response.headers["retry-after"]}
        return HTMLResponse(AWAY_PAGE.read_text(), status_code=503, headers=headers)
    return response


def _is_open(scope: Scope) -> bool:
    if scope["type"] == "websocket":
        return False
    method, path = scope["method"], scope["path"]
    return (method, path) in OPEN or (method in ("GET", "HEAD") and path.startswith(_LOGIN_FILES))


def is_navigation(connection: HTTPConnection) -> bool:
    """Return whether a browser opens a page, rather than a script or a program."""
    scope = connection.scope
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and "text/html" in connection.headers.get("accept", "")
        and key_of(connection) is None
    )
