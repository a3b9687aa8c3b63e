"""Who may come in: keys, sessions, other sites' pages, and how wrong keys slow down."""

import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Mount
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from stt.coordinator.store.login_throttle import LoginThrottle
from stt.coordinator.store.sessions import Sessions, sha256
from stt.store.database import Database
from tests.support.coordinator_app import (
    PEOPLES_KEY,
    CoordinatorThread,
    KeyedSession,
    running_coordinator,
)

OPEN = {"/health", "/api/system/health", "/login", "/api/nodes/register"}
"""The addresses that docs/security.md calls open; the files under /login/ beside them."""
GONE = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300&directConnection=true"


@pytest.fixture(scope="module")
def shared(mongo_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CoordinatorThread]:
    """For tests that try no wrong key and store nothing."""
    with Database(mongo_url, "stt_test_access") as database:
        database.ensure_indexes()
        with running_coordinator(database, tmp_path_factory.mktemp("data")) as running:
            yield running


@pytest.fixture
def coordinator(database: Database, tmp_path: Path) -> Iterator[CoordinatorThread]:
    """For tests whose failures count."""
    with running_coordinator(database, tmp_path) as running:
        yield running


def addresses(routes: list[Any]) -> Iterator[tuple[str, str]]:
    """Every method and path that an application answers, "WS" for WebSockets; files by a guess."""
    for route in routes:
        if included := getattr(route, "original_router", None):
            yield from addresses(included.routes)
        elif isinstance(route, Mount):
            yield "GET", f"{route.path}/anything"
        else:
            path = re.sub(r"{[^}]*}", "x", route.path)
            for method in sorted(getattr(route, "methods", None) or {"WS"}):
                yield method, path


def status_of_socket(running: CoordinatorThread, path: str, **headers: str) -> int:
    """101 if it opens."""
    try:
        with connect(running.ws_url + path, additional_headers=headers):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def logged_in(running: CoordinatorThread) -> KeyedSession:
    session = running.anonymous()
    answer = session.post("/login", json={"key": PEOPLES_KEY})
    assert answer.status_code == 204
    return session


# Without a key


def test_every_address_wants_a_key_unless_it_is_meant_to_be_open(
    shared: CoordinatorThread,
) -> None:
    found = sorted(set(addresses(shared.app.routes)))
    assert len(found) > 20
    received = {}
    with shared.anonymous() as anonymous:
        for method, path in found:
            if path in OPEN or path.startswith("/login/"):
                continue
            if method == "WS":
                received[method, path] = status_of_socket(shared, path)
            else:
                received[method, path] = anonymous.request(method, path).status_code
    assert {address: status for address, status in received.items() if status != 401} == {}


def test_an_address_that_is_none_tells_a_stranger_nothing(shared: CoordinatorThread) -> None:
    with shared.anonymous() as anonymous:
        for path in ("/nothing", "/static/../nothing", "//tasks", "/login/../tasks", "/%2e%2e/x"):
            assert anonymous.get(path).status_code in (401, 404), path
        assert anonymous.get("/tasks/").status_code == 401


def test_a_refusal_says_which_key_is_wanted(shared: CoordinatorThread) -> None:
    with shared.anonymous() as anonymous:
        answer = anonymous.get("/api/options")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "unauthorized"


def test_a_browser_is_shown_the_login_page_where_it_wanted_another(
    shared: CoordinatorThread,
) -> None:
    with shared.anonymous() as browser:
        answer = browser.get("/recordings", headers={"Accept": "text/html,*/*"})
    assert answer.status_code == 401
    assert "<form" in answer.text


def test_health_is_open_and_tells_of_the_database(shared: CoordinatorThread) -> None:
    with shared.anonymous() as anonymous:
        for path in ("/health", "/api/system/health"):
            received = anonymous.get(path).json()
            assert (received["status"], received["database"]) == ("ok", True)
            assert anonymous.head(path).status_code == 200


# Keys


@pytest.mark.parametrize("name", ["Authorization", "X-API-Key"])
def test_the_peoples_key_opens_by_either_header(shared: CoordinatorThread, name: str) -> None:
    value = f"Bearer {PEOPLES_KEY}" if name == "Authorization" else PEOPLES_KEY
    with shared.anonymous() as program:
        assert program.get("/api/session", headers={name: value}).status_code == 200


@pytest.mark.parametrize("key", ["", "x", PEOPLES_KEY + "x", PEOPLES_KEY.upper(), "ÿ\x80"])
def test_a_key_that_is_nearly_right_is_wrong(coordinator: CoordinatorThread, key: str) -> None:
    with coordinator.anonymous() as program:
        header = {"Authorization": f"Bearer {key}".encode("latin-1")}
        assert program.get("/api/session", headers=header).status_code == 401


def test_wrong_keys_slow_down_and_the_right_one_is_served_all_the_same(
    coordinator: CoordinatorThread,
) -> None:
    with coordinator.node("wrong") as thief, coordinator.person() as person:
        received = [thief.get("/api/session") for _ in range(6)]
        assert [answer.status_code for answer in received] == [401] * 4 + [429] * 2
        assert received[-1].headers["Retry-After"] == "1"
        assert person.get("/api/session").status_code == 200
        assert logged_in(coordinator).get("/api/session").status_code == 200


def test_wrong_logins_slow_down_even_the_right_key(coordinator: CoordinatorThread) -> None:
    with coordinator.anonymous() as browser:
        received = [browser.post("/login", json={"key": "wrong"}).status_code for _ in range(5)]
        assert received == [401] * 4 + [429]
        assert browser.post("/login", json={"key": PEOPLES_KEY}).status_code == 429


def test_the_wait_doubles_up_to_a_minute(database: Database) -> None:
    throttle, waits = LoginThrottle(database), []
    for _ in range(14):
        waits.append(round(throttle.record_failure("key", "10.0.0.1")))
        database.refusals.update_many({}, {"$set": {"at": datetime.now(UTC) - timedelta(hours=1)}})
    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    throttle.reset("key", "10.0.0.1")
    assert throttle.record_failure("key", "10.0.0.1") == 0


def test_a_try_during_the_wait_is_not_counted(database: Database) -> None:
    throttle = LoginThrottle(database)
    for _ in range(20):
        throttle.record_failure("join", "10.0.0.1")
    assert 0 < throttle.seconds_until_allowed("join", "10.0.0.1") <= 1


def test_one_address_slows_no_other_and_one_scope_no_other(database: Database) -> None:
    throttle = LoginThrottle(database)
    for _ in range(5):
        throttle.record_failure("key", "2001:db8::1")
    assert (
        throttle.seconds_until_allowed("key", "2001:db8::ffff") > 0
    )  # the same network of one customer
    assert throttle.seconds_until_allowed("key", "2001:db8:0:1::1") == 0
    assert throttle.seconds_until_allowed("login", "2001:db8::1") == 0


def test_no_key_is_in_the_log(
    coordinator: CoordinatorThread, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with coordinator.node("a-wrong-key") as thief, coordinator.person() as person:
        thief.get("/api/session?key=in-the-query")
        person.post("/login", json={"key": PEOPLES_KEY})
        person.patch("/api/options", json={"distributed": "a-wrong-key"})
    lines = [r.getMessage() for r in caplog.records if r.name.startswith("stt")]
    assert sum("/api/session 401" in line for line in lines) == 1
    for secret in ("a-wrong-key", PEOPLES_KEY, "in-the-query"):
        assert not any(secret in line for line in lines)


def test_a_nodes_key_opens_no_address_for_people(coordinator: CoordinatorThread) -> None:
    _, key = coordinator.join()
    with coordinator.node(key) as node:
        assert node.get("/tasks/count").status_code == 200
        for path in ("/api/options", "/api/session", "/api/uploads"):
            assert node.get(path).status_code == 403, path


def test_a_node_that_was_removed_is_told_so(coordinator: CoordinatorThread) -> None:
    node_id, key = coordinator.join()
    with coordinator.person() as person, coordinator.node(key) as node:
        assert person.delete(f"/api/nodes/{node_id}").status_code == 204
        answer = node.get("/tasks/count")
    assert answer.status_code == 410
    assert answer.json()["error"]["code"] == "node_removed"


# A key that a coordinator has made


def test_a_made_key_is_stored_as_its_hash_and_made_once(database: Database, tmp_path: Path) -> None:
    sessions = Sessions(database)
    key = sessions.make_key()
    assert key is not None
    assert sessions.make_key() is None
    assert key not in str(list(database.options.find()))
    with (
        running_coordinator(database, tmp_path, coordinator_key=None) as running,
        running.node(key) as person,
    ):
        assert person.get("/api/session").status_code == 200


def test_a_new_key_ends_the_old_one_and_every_session(database: Database) -> None:
    sessions = Sessions(database)
    old = sessions.make_key()
    assert old is not None
    token = sessions.begin_session(sha256(old))
    assert sessions.has_session(token, sha256(old))
    new = sessions.make_key(anew=True)
    assert new is not None
    assert sessions.key_hash() == sha256(new)
    assert not sessions.has_session(token, sha256(new))


def test_without_any_key_nobody_comes_in(database: Database, tmp_path: Path) -> None:
    with (
        running_coordinator(database, tmp_path, coordinator_key=None) as running,
        running.node("anything") as anonymous,
    ):
        assert anonymous.get("/api/session").status_code == 401
        assert anonymous.post("/login", json={"key": ""}).status_code == 401


# Sessions


def test_a_login_gives_a_cookie_that_scripts_and_other_sites_cannot_use(
    shared: CoordinatorThread,
) -> None:
    with shared.anonymous() as browser:
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


def test_a_form_without_scripts_works_too(coordinator: CoordinatorThread) -> None:
    with coordinator.anonymous() as browser:
        wrong = browser.post("/login", data={"key": "wrong"})
        assert wrong.status_code == 401
        assert "<form" in wrong.text
        right = browser.post("/login", data={"key": PEOPLES_KEY})
        assert (right.status_code, right.headers["Location"]) == (303, "/")
        assert browser.get("/api/session").status_code == 200


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"key": 5}', b"null", b'{"key": "\xff"}', b"[" * 5_000]
)
def test_a_login_that_makes_no_sense_is_refused(shared: CoordinatorThread, body: bytes) -> None:
    with shared.anonymous() as browser:
        for kind in ("application/json", "application/x-www-form-urlencoded"):
            answer = browser.post("/login", data=body, headers={"Content-Type": kind})
            assert answer.status_code == 422, answer.text


def test_a_stranger_cannot_send_a_large_body(shared: CoordinatorThread) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 1024

    with shared.anonymous() as anonymous:
        assert anonymous.post("/login", data=b"x" * 70_000).status_code == 413
        assert anonymous.post("/login", data=endless()).status_code == 413


def test_logging_out_ends_the_session_for_good(shared: CoordinatorThread) -> None:
    with logged_in(shared) as browser, shared.anonymous() as thief:
        thief.cookies.update(browser.cookies)
        assert browser.post("/logout", headers={"Origin": shared.url}).status_code == 204
        assert not browser.cookies
        assert thief.get("/api/session").status_code == 401


def test_a_session_that_is_too_old_is_over(coordinator: CoordinatorThread) -> None:
    with logged_in(coordinator) as browser:
        sessions = coordinator.coordinator.database.sessions
        past = datetime.now(UTC) - timedelta(seconds=1)
        assert sessions.update_many({}, {"$set": {"expires_at": past}}).modified_count == 1
        assert [browser.get("/api/session").status_code for _ in range(6)] == [401] * 6


def test_another_programs_odd_cookie_hides_no_session(shared: CoordinatorThread) -> None:
    """Cookies know no ports: programs on one host see each other's."""
    with logged_in(shared) as browser, shared.anonymous() as same_host:
        cookie = f'theirs={{"a": "b, c"}}; stt_session={browser.cookies["stt_session"]}'
        answer = same_host.get("/api/session", headers={"Cookie": cookie})
    assert answer.status_code == 200


def test_the_database_has_no_token_of_a_session(coordinator: CoordinatorThread) -> None:
    with logged_in(coordinator) as browser:
        token = browser.cookies["stt_session"]
    stored = str(list(coordinator.coordinator.database.sessions.find()))
    assert sha256(token) in stored
    assert token not in stored


# Other sites' pages


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": "://"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=str,
)
def test_a_cookie_alone_changes_nothing(shared: CoordinatorThread, headers: dict[str, str]) -> None:
    with logged_in(shared) as browser:
        answer = browser.patch("/api/options", json={}, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "csrf")
        cookie = "; ".join(f"{c.name}={c.value}" for c in browser.cookies)
        assert status_of_socket(shared, "/ws/dashboard", Cookie=cookie, **headers) == 403


def test_our_own_page_may_change_things(shared: CoordinatorThread) -> None:
    with logged_in(shared) as browser:
        for headers in ({"Origin": shared.url}, {"Sec-Fetch-Site": "same-origin"}):
            assert browser.patch("/api/options", json={}, headers=headers).status_code == 200


def test_behind_a_proxy_that_rewrites_host_the_public_address_is_our_own(
    database: Database, tmp_path: Path
) -> None:
    public = "https://stt.example.org"
    with (
        running_coordinator(database, tmp_path, public_url=public) as running,
        logged_in(running) as browser,
    ):
        for origin, status in ((public, 200), ("https://other.example.org", 403)):
            answer = browser.patch("/api/options", json={}, headers={"Origin": origin})
            assert answer.status_code == status


def test_another_sites_page_cannot_log_a_browser_in(shared: CoordinatorThread) -> None:
    with shared.anonymous() as browser:
        evil = {"Origin": "https://evil.example"}
        answer = browser.post("/login", data={"key": PEOPLES_KEY}, headers=evil)
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


# Headers


def test_every_answer_tells_the_browser_to_run_nothing_foreign(
    coordinator: CoordinatorThread,
) -> None:
    async def broken() -> None:
        raise RuntimeError

    coordinator.app.add_api_route("/broken", broken)
    with coordinator.person() as person, coordinator.anonymous() as anonymous:
        answers = {
            200: person.get("/api/session"),
            204: person.post("/logout"),
            401: anonymous.get("/api/session"),
            404: person.get("/nothing"),
            405: person.delete("/health"),
            413: anonymous.post("/login", data=b"x" * 70_000),
            422: person.patch("/api/options", json=[]),
            500: person.get("/broken"),
        }
    for status, answer in answers.items():
        assert answer.status_code == status
        policy = answer.headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert re.fullmatch("[0-9a-f]{16}", answer.headers["X-Request-ID"])
        if status >= 400:
            assert set(answer.json()["error"]) == {"code", "message"}
        else:
            assert "error" not in answer.text


def test_the_api_page_needs_nothing_from_afar_and_one_inline_script(
    shared: CoordinatorThread,
) -> None:
    with shared.person() as person:
        page = person.get("/docs")
        assert "http://" not in page.text
        assert "https://" not in page.text
        assert re.search("script-src 'self' 'sha256-", page.headers["Content-Security-Policy"])
        for path in re.findall(r'(?:src|href)="(/[^"]*)"', page.text):
            assert person.get(path).status_code == 200, path


# A database that is away


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CoordinatorThread]:
    """Return a coordinator whose database does not answer."""
    with (
        Database(GONE, "stt") as database,
        running_coordinator(database, tmp_path_factory.mktemp("data")) as running,
    ):
        yield running


def test_a_database_that_is_away_is_no_wrong_key(lonely: CoordinatorThread) -> None:
    with lonely.node("some-nodes-key") as node:
        answer = node.get("/tasks/count")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    with lonely.anonymous() as browser:
        answer = browser.get("/api/session", headers={"Cookie": "stt_session=x"})
    assert answer.status_code == 503


def test_a_browser_is_shown_a_page_that_asks_again_while_the_database_is_away(
    lonely: CoordinatorThread,
) -> None:
    headers = {"Cookie": "stt_session=x", "Accept": "text/html,*/*"}
    with lonely.anonymous() as browser:
        answer = browser.get("/nodes", headers=headers)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert answer.headers["Content-Type"].startswith("text/html")
    assert 'http-equiv="refresh"' in answer.text


def test_the_key_of_the_environment_needs_no_database(lonely: CoordinatorThread) -> None:
    with lonely.person() as person:
        assert person.get("/api/session").status_code == 200
        assert person.post("/login", json={"key": PEOPLES_KEY}).status_code == 503


def test_health_says_degraded_without_a_database(lonely: CoordinatorThread) -> None:
    with lonely.anonymous() as anonymous:
        answer = anonymous.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.elapsed.total_seconds() < 3
