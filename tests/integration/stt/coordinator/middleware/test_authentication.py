"""Who may come in: keys, sessions, and other sites' pages."""

import re

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.support.coordinator_app import PEOPLES_KEY, CoordinatorThread, logged_in
from tests.support.routes import addresses

OPEN = {"/health", "/api/system/health", "/login", "/api/nodes/register"}
"""The addresses that docs/security.md calls open; the files under /login/ beside them."""


def status_of_socket(running: CoordinatorThread, path: str, **headers: str) -> int:
    """101 if it opens."""
    try:
        with connect(running.ws_url + path, additional_headers=headers):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def test_every_address_wants_a_key_unless_it_is_meant_to_be_open(
    coordinator: CoordinatorThread,
) -> None:
    found = sorted(
        {
            (method, re.sub("{[^}]*}", "x", path))
            for method, path in addresses(coordinator.app.routes)
        }
    )
    assert len(found) > 20
    received = {}
    with coordinator.anonymous() as anonymous:
        for method, path in found:
            if path in OPEN or path.startswith("/login/"):
                continue
            if method == "WS":
                received[method, path] = status_of_socket(coordinator, path)
            else:
                received[method, path] = anonymous.request(method, path).status_code
    assert {address: status for address, status in received.items() if status != 401} == {}


def test_an_address_that_is_none_tells_a_stranger_nothing(coordinator: CoordinatorThread) -> None:
    with coordinator.anonymous() as anonymous:
        for path in ("/nothing", "/static/../nothing", "//tasks", "/login/../tasks", "/%2e%2e/x"):
            assert anonymous.get(path).status_code in (401, 404), path
        assert anonymous.get("/tasks/").status_code == 401


def test_a_refusal_says_which_key_is_wanted(coordinator: CoordinatorThread) -> None:
    with coordinator.anonymous() as anonymous:
        answer = anonymous.get("/api/options")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "unauthorized"


def test_a_browser_is_shown_the_login_page_where_it_wanted_another(
    coordinator: CoordinatorThread,
) -> None:
    with coordinator.anonymous() as browser:
        answer = browser.get("/recordings", headers={"Accept": "text/html,*/*"})
    assert answer.status_code == 401
    assert "<form" in answer.text


@pytest.mark.parametrize("name", ["Authorization", "X-API-Key"])
def test_the_peoples_key_opens_by_either_header(coordinator: CoordinatorThread, name: str) -> None:
    value = f"Bearer {PEOPLES_KEY}" if name == "Authorization" else PEOPLES_KEY
    with coordinator.anonymous() as program:
        assert program.get("/api/session", headers={name: value}).status_code == 200


def test_a_nodes_key_opens_no_address_for_people(fresh_coordinator: CoordinatorThread) -> None:
    _, key = fresh_coordinator.join()
    with fresh_coordinator.node(key) as node:
        assert node.get("/tasks/count").status_code == 200
        for path in ("/api/options", "/api/session", "/api/uploads"):
            assert node.get(path).status_code == 403, path


def test_a_node_that_was_removed_is_told_so(fresh_coordinator: CoordinatorThread) -> None:
    node_id, key = fresh_coordinator.join()
    with fresh_coordinator.person() as person, fresh_coordinator.node(key) as node:
        assert person.delete(f"/api/nodes/{node_id}").status_code == 204
        answer = node.get("/tasks/count")
    assert answer.status_code == 410
    assert answer.json()["error"]["code"] == "node_removed"


def test_another_programs_odd_cookie_hides_no_session(coordinator: CoordinatorThread) -> None:
    """Cookies know no ports: programs on one host see each other's."""
    with logged_in(coordinator) as browser, coordinator.anonymous() as same_host:
        cookie = f'theirs={{"a": "b, c"}}; stt_session={browser.cookies["stt_session"]}'
        answer = same_host.get("/api/session", headers={"Cookie": cookie})
    assert answer.status_code == 200


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
def test_a_cookie_alone_changes_nothing(
    coordinator: CoordinatorThread, headers: dict[str, str]
) -> None:
    with logged_in(coordinator) as browser:
        answer = browser.patch("/api/options", json={}, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "csrf")
        cookie = "; ".join(f"{c.name}={c.value}" for c in browser.cookies)
        assert status_of_socket(coordinator, "/ws/dashboard", Cookie=cookie, **headers) == 403


@pytest.mark.parametrize("destination", ["image", "iframe", "empty"])
def test_a_page_on_another_port_reads_nothing_with_the_cookie(
    coordinator: CoordinatorThread, destination: str
) -> None:
    """Cookies know no ports, and SameSite none either."""
    mode = "navigate" if destination == "iframe" else "no-cors"
    image = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": destination}
    link = image | {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    with logged_in(coordinator) as browser:
        answer = browser.get("/status", headers=image)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "csrf")
        assert browser.get("/status", headers=link).status_code == 200
        assert browser.get("/status", headers={"Sec-Fetch-Site": "none"}).status_code == 200


@pytest.mark.parametrize("path", ["/login", "/api/nodes/register"])
def test_another_sites_form_uses_up_no_tries_of_this_address(
    fresh_coordinator: CoordinatorThread, path: str
) -> None:
    body = {"key": "wrong", "code": "wrong", "name": "x", "platform": "x"}
    with fresh_coordinator.anonymous() as browser:
        for headers in ({"Origin": "null"}, {"Sec-Fetch-Site": "same-site"}):
            for _ in range(6):
                answer = browser.post(path, json=body, headers=headers)
                assert (answer.status_code, answer.json()["error"]["code"]) == (403, "csrf")
        assert browser.post(path, json=body).status_code == 401


def test_our_own_page_may_change_things(coordinator: CoordinatorThread) -> None:
    with logged_in(coordinator) as browser:
        for headers in ({"Origin": coordinator.url}, {"Sec-Fetch-Site": "same-origin"}):
            assert browser.patch("/api/options", json={}, headers=headers).status_code == 200


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
