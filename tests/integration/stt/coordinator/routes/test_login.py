"""Logging in and out with a browser."""

import logging
import socket
from pathlib import Path

import pytest

from stt.store.database import Database
from tests.support.coordinator_app import (
    PEOPLES_KEY,
    CoordinatorThread,
    logged_in,
    running_coordinator,
)
from tests.support.pace import until


def test_wrong_logins_slow_down_even_the_right_key(fresh_coordinator: CoordinatorThread) -> None:
    with fresh_coordinator.anonymous() as browser:
        received = [browser.post("/login", json={"key": "wrong"}).status_code for _ in range(5)]
        assert received == [401] * 4 + [429]
        assert browser.post("/login", json={"key": PEOPLES_KEY}).status_code == 429


def test_a_login_gives_a_cookie_that_scripts_and_other_sites_cannot_use(
    coordinator: CoordinatorThread,
) -> None:
    with coordinator.anonymous() as browser:
        answer = browser.post("/login", json={"key": PEOPLES_KEY})
        cookie = answer.headers["Set-Cookie"]
        assert answer.status_code == 204
        for flag in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age="):
            assert flag in cookie
        assert "Secure" not in cookie  # over plain HTTP the browser would drop it
        assert browser.get("/api/session").status_code == 200


def test_the_cookie_is_for_https_alone_where_a_trusted_proxy_says_https(
    database: Database, tmp_path: Path
) -> None:
    https = {"X-Forwarded-Proto": "https"}
    for proxies, is_secure in ((None, False), ("127.0.0.1", True), ("10.0.0.0/8", False)):
        with (
            running_coordinator(database, tmp_path, trusted_proxies=proxies) as running,
            running.anonymous() as browser,
        ):
            answer = browser.post("/login", json={"key": PEOPLES_KEY}, headers=https)
        assert ("Secure" in answer.headers["Set-Cookie"]) == is_secure, proxies


def test_a_form_without_scripts_works_too(fresh_coordinator: CoordinatorThread) -> None:
    with fresh_coordinator.anonymous() as browser:
        wrong = browser.post("/login", data={"key": "wrong"})
        assert wrong.status_code == 401
        assert "<form" in wrong.text
        right = browser.post("/login", data={"key": PEOPLES_KEY})
        assert (right.status_code, right.headers["Location"]) == (303, "/")
        assert browser.get("/api/session").status_code == 200


def test_a_login_that_breaks_off_leaves_no_traceback_in_the_log(
    coordinator: CoordinatorThread, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = coordinator.url.removeprefix("http://").split(":")
    caplog.set_level(logging.INFO, "stt")
    with socket.create_connection((host, int(port)), timeout=60) as browser:
        browser.sendall(b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    until(lambda: "POST /login 400" in caplog.text)
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"key": 5}', b"null", b'{"key": "\xff"}', b"[" * 5_000]
)
def test_a_login_that_makes_no_sense_is_refused(
    coordinator: CoordinatorThread, body: bytes
) -> None:
    with coordinator.anonymous() as browser:
        for kind in ("application/json", "application/x-www-form-urlencoded"):
            answer = browser.post("/login", data=body, headers={"Content-Type": kind})
            assert answer.status_code == 422, answer.text


def test_logging_out_ends_the_session_for_good(coordinator: CoordinatorThread) -> None:
    with logged_in(coordinator) as browser, coordinator.anonymous() as thief:
        thief.cookies.update(browser.cookies)
        assert browser.post("/logout", headers={"Origin": coordinator.url}).status_code == 204
        assert not browser.cookies
        assert thief.get("/api/session").status_code == 401


def test_another_sites_page_cannot_log_a_browser_in(coordinator: CoordinatorThread) -> None:
    with coordinator.anonymous() as browser:
        evil = {"Origin": "https://evil.example"}
        answer = browser.post("/login", data={"key": PEOPLES_KEY}, headers=evil)
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers
