"""Requests of other sites' pages to a server without a key."""

import asyncio

import pytest
from starlette.responses import PlainTextResponse

from stt.serving.browser_guard import BrowserGuard
from stt.serving.hosts import AllowedHosts
from tests.support.asgi import answers, call, http_scope

FROM_EVIL = {"origin": "https://evil.example"}
LINK = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


def answer_to(method: str, headers: dict[str, str], origins: tuple[str, ...] = ()) -> str:
    """Return "in", or the guard's fault."""
    faults: list[str] = []

    def refuse(_: object, fault: str) -> PlainTextResponse:
        faults.append(fault)
        return PlainTextResponse("", 403)

    guard = BrowserGuard(answers(200), AllowedHosts("127.0.0.1"), refuse, origins)
    sent = {"host": "localhost:8081", **headers}
    encoded = [(name.encode(), value.encode()) for name, value in sent.items()]
    first = asyncio.run(call(guard, http_scope(method, headers=encoded)))[0]
    assert (first["status"] == 200) == (not faults)
    return faults[0] if faults else "in"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS"])
def test_a_rebound_name_gets_nowhere_by_any_method(method: str) -> None:
    rebound = {"host": "evil.example:8081", "origin": "http://evil.example:8081"}
    assert answer_to(method, rebound | {"sec-fetch-site": "same-origin"}) == "host"
    assert answer_to(method, {"host": "evil.example:8081"}) == "host"


@pytest.mark.parametrize(
    "headers",
    [
        FROM_EVIL,
        {"origin": "null"},
        {"origin": "http://localhost:3000"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        LINK | {"sec-fetch-dest": "iframe"},
    ],
    ids=str,
)
def test_a_page_of_another_site_or_port_reads_and_changes_nothing(headers: dict[str, str]) -> None:
    for method in ("GET", "POST", "DELETE"):
        assert answer_to(method, headers) == "page"


def test_its_own_page_programs_and_typed_addresses_are_let_in() -> None:
    for headers in (
        {},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "same-origin"},
        {"origin": "http://localhost:8081"},
    ):
        for method in ("GET", "POST"):
            assert answer_to(method, headers) == "in", headers


def test_a_link_may_lead_here_and_a_form_may_not() -> None:
    assert answer_to("GET", LINK) == "in"
    assert answer_to("POST", LINK) == "page"


def test_origins_that_were_named_are_let_in_and_no_others() -> None:
    app = {"origin": "https://app.example", "sec-fetch-site": "cross-site"}
    assert answer_to("POST", app, ("https://app.example",)) == "in"
    assert answer_to("POST", app, ("https://app.example.evil.example", "app.example")) == "page"
    assert answer_to("POST", app, ("*",)) == "in"
    assert answer_to("POST", app | {"host": "evil.example"}, ("*",)) == "host"


def test_a_websocket_is_no_link() -> None:
    scope = http_scope(type="websocket", headers=[(b"host", b"localhost"), (b"origin", b"null")])
    del scope["method"]
    guard = BrowserGuard(answers(200), AllowedHosts("::1"), lambda *_: PlainTextResponse("", 403))
    first = asyncio.run(call(guard, scope))[0]
    assert (first["type"], first["status"]) == ("websocket.http.response.start", 403)
