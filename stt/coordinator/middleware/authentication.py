"""Who may come in: stands before every route and every WebSocket, and lets nobody in by default.

```
request ─▶ open to everybody? (health, login page, joining) ─────────────────────▶ route
   │ no
   ├─ Authorization: Bearer KEY, X-API-Key: KEY ─▶ the people's key? ─ Person ───▶ route
   │                                          └──▶ a node's key? ───── Node ─────▶ route
   │                                                └─ removed: 410 · wrong: 401, from the fifth 429
   ├─ cookie stt_session ─▶ does it live? is a change asked from our own page? ──▶ route
   │                         └─ no: 401          └─ no: 403
   └─ nothing: 401
```

What each may do is for the routes to say (context.py); here it is only found out who asks.
Secrets are compared in constant time, or looked up by their hash, and never logged.
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

COOKIE = "stt_session"
LOGIN_PAGE = Path(__file__).parents[1] / "web" / "login" / "login.html"
AWAY_PAGE = LOGIN_PAGE.with_name("away.html")

OPEN = frozenset({
    ("GET", "/health"), ("HEAD", "/health"),
    ("GET", "/api/system/health"), ("HEAD", "/api/system/health"),
    ("GET", "/login"), ("POST", "/login"),
    ("POST", "/api/nodes/register"),
})  # fmt: skip
"""What needs no key; beside it only the login page's own files. A join code opens the last one."""
_LOGIN_FILES = "/login/"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Authentication:
    """ASGI middleware: `scope["state"]` of what passes has its `principal`, and `is_welcome`,
    a call that tells whether it would still be let in."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and not _is_open(scope):
            connection = HTTPConnection(scope)
            try:
                principal, is_authorized = await self._authenticate(connection)
            except (ApiError, SttError) as error:
                refusal: Response = error_response(error)
                if _is_navigation(connection):
                    if isinstance(error, Unauthorized):
                        refusal = login_page(error)
                    elif refusal.status_code == 503:
                        refusal = away_page(refusal)
                await refusal(scope, receive, send)
                return
            state = scope.setdefault("state", {})
            state["principal"], state["is_authorized"] = principal, is_authorized
        await self._app(scope, receive, send)

    async def _authenticate(
        self, connection: HTTPConnection
    ) -> tuple[Principal, Callable[[], bool]]:
        authenticator, key, token = self._authenticator, key_of(connection), session_of(connection)
        if key is not None:
            is_authorized = partial(authenticator.is_peoples_key, key)
            if authenticator.is_fixed_key(key):
                return Person(), is_authorized
            principal = await run_in_threadpool(authenticator.by_key, key, address_of(connection))
            # A node's own socket looks after its node.
            return principal, is_authorized if isinstance(principal, Person) else lambda: True
        if token is not None:
            person = await run_in_threadpool(authenticator.authenticate_session, token)
            if not (_only_reads(connection) or authenticator.is_own_page(connection)):
                raise Forbidden("Another site's page asked for this.", code="csrf")
            return person, partial(authenticator.has_session, token)
        raise Unauthorized("A key is needed: Authorization: Bearer KEY.")


def login_page(refusal: Unauthorized) -> HTMLResponse:
    """What a browser is shown in place of the page that it wanted."""
    return HTMLResponse(LOGIN_PAGE.read_text(), status_code=refusal.status, headers=refusal.headers)


def away_page(refusal: Response) -> HTMLResponse:
    """What a browser is shown while nobody can look up its session; it asks again by itself."""
    return HTMLResponse(
        AWAY_PAGE.read_text(),
        status_code=refusal.status_code,
        headers={"Retry-After": refusal.headers["retry-after"]},
    )


def key_of(connection: HTTPConnection) -> str | None:
    """The key that a program sends along."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return connection.headers.get("x-api-key")


def session_of(connection: HTTPConnection) -> str | None:
    """The token of a browser's session."""
    return connection.cookies.get(COOKIE) or None


def _is_open(scope: Scope) -> bool:
    if scope["type"] == "websocket":
        return False
    method, path = scope["method"], scope["path"]
    return (method, path) in OPEN or (method in ("GET", "HEAD") and path.startswith(_LOGIN_FILES))


def _only_reads(connection: HTTPConnection) -> bool:
    scope = connection.scope
    return scope["type"] == "http" and scope["method"] in _SAFE_METHODS


def _is_navigation(connection: HTTPConnection) -> bool:
    """A browser that wants to show a page, and not a script or a program."""
    scope = connection.scope
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and "text/html" in connection.headers.get("accept", "")
        and key_of(connection) is None
    )
