"""Headers of every response, and the id of its request."""

import pytest
from starlette.datastructures import Headers

from stt.coordinator.middleware.security_headers import CONTENT_SECURITY_POLICY, SecurityHeaders
from tests.support.asgi import answers, call, http_scope
from tests.support.event_loop import in_event_loop


async def headers_of(path: str, *own: tuple[bytes, bytes]) -> Headers:
    start, _ = await call(SecurityHeaders(answers(200, *own)), http_scope(path=path))
    return Headers(raw=start["headers"])


@pytest.mark.parametrize(
    ("path", "caching"),
    [("/", "no-store"), ("/api/x", "no-store"), ("/static/app.js", "no-cache"),
     ("/login/login.css", "no-cache"), ("/login", "no-store"), ("/docs-files/x", "no-cache")],
)  # fmt: skip
@in_event_loop
async def test_only_our_files_may_be_stored_and_are_checked_each_time(
    path: str, caching: str
) -> None:
    headers = await headers_of(path)
    assert headers["Cache-Control"] == caching
    assert headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"


@in_event_loop
async def test_a_header_that_the_route_has_set_stays_as_it_is() -> None:
    headers = await headers_of("/docs", (b"content-security-policy", b"script-src 'self'"))
    assert headers.getlist("Content-Security-Policy") == ["script-src 'self'"]


@in_event_loop
async def test_each_request_has_an_id_of_its_own_which_no_route_can_set() -> None:
    first = await headers_of("/", (b"x-request-id", b"forged"))
    second = await headers_of("/")
    ids = {*first.getlist("X-Request-ID"), *second.getlist("X-Request-ID")}
    assert len(ids) == 2
    assert "forged" not in ids


@in_event_loop
async def test_the_id_is_in_the_scope_for_the_log() -> None:
    scope = http_scope()
    start, _ = await call(SecurityHeaders(answers(200)), scope)
    assert Headers(raw=start["headers"])["X-Request-ID"] == scope["state"]["request_id"]


@in_event_loop
async def test_the_start_of_the_application_is_passed_on_as_it_is() -> None:
    scope = {"type": "lifespan"}
    await call(SecurityHeaders(answers(200)), scope)
    assert scope == {"type": "lifespan"}
