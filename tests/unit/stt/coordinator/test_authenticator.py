"""Keys and pages, as far as they can be told apart without a database."""

from pathlib import Path
from unittest.mock import Mock

import pytest
from starlette.requests import HTTPConnection

from stt.coordinator.authenticator import Authenticator, Person, address_of
from stt.coordinator.errors import TooMany, Unauthorized
from stt.coordinator.store.nodes import NodeRegistry
from stt.coordinator.store.sessions import sha256
from stt.domain.node import Node
from stt.errors import DatabaseUnavailable, KeyRejected
from stt.serving.senders import Sender
from stt.store.database import Database
from tests.support.asgi import http_scope
from tests.support.coordinator_app import PEOPLES_KEY, settings_for
from tests.support.long_waits import lengthen_waits

HOST = "10.0.0.7"


def authenticator_of(folder: Path, **settings: object) -> Authenticator:
    return Authenticator(Mock(Database), settings_for(folder, **settings), Mock(NodeRegistry))


@pytest.fixture
def authenticator(tmp_path: Path) -> Authenticator:
    made = authenticator_of(tmp_path)
    made._throttle = Mock()
    made._throttle.seconds_until_allowed.return_value = 0
    made._throttle.record_failure.return_value = 0
    return made


def connection(**headers: str) -> HTTPConnection:
    encoded = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return HTTPConnection(http_scope("POST", headers=encoded))


@pytest.mark.parametrize(
    ("headers", "is_ours"),
    [
        ({"sec_fetch_site": "same-origin", "origin": "https://evil.example"}, True),
        ({"sec_fetch_site": "same-site", "origin": "http://hub", "host": "hub"}, False),
        ({"sec_fetch_site": "cross-site"}, False),
        ({"origin": "http://hub:8000", "host": "hub:8000"}, True),
        ({"origin": "http://hub:8000", "host": "hub"}, False),
        ({"origin": "https://stt.example.org", "host": "inside:8000"}, True),
        ({"origin": "http://stt.example.org", "host": "inside:8000"}, False),
        ({"origin": "null", "host": "null"}, False),
        ({"origin": "://", "host": ""}, False),
        ({"host": "hub"}, False),
        ({}, False),
    ],
    ids=str,
)
def test_a_page_is_ours_if_the_browser_says_so(
    tmp_path: Path, headers: dict[str, str], is_ours: bool
) -> None:
    authenticator = authenticator_of(tmp_path, public_url="https://stt.example.org")
    assert (authenticator.sender_of(connection(**headers)) is Sender.OWN_PAGE) == is_ours


def test_the_key_of_the_settings_wins_and_reads_no_database(authenticator: Authenticator) -> None:
    assert authenticator.is_peoples_key(PEOPLES_KEY)
    assert not authenticator.is_peoples_key("another")
    assert not authenticator.is_known_fixed_key(PEOPLES_KEY, HOST)
    assert authenticator.by_key(PEOPLES_KEY, HOST) == Person()
    assert authenticator.is_known_fixed_key(PEOPLES_KEY, HOST)
    assert not authenticator.is_known_fixed_key(PEOPLES_KEY, "10.0.0.8")
    assert not authenticator.is_known_fixed_key("another", HOST)


def test_without_such_a_key_the_stored_one_is_asked_for_once(tmp_path: Path) -> None:
    database = Mock()
    stored = database.options.find_one
    stored.return_value = {"sha256": sha256("stored")}
    settings = settings_for(tmp_path, coordinator_key=None)
    authenticator = Authenticator(database, settings, Mock(NodeRegistry))
    assert not authenticator.is_known_fixed_key("stored", HOST)
    assert authenticator.is_peoples_key("stored")
    assert not authenticator.is_peoples_key("another")
    assert stored.call_count == 1


def test_a_nodes_key_finds_the_node(authenticator: Authenticator) -> None:
    node = Node("mac-1f2e", "Mac")
    authenticator._registry.by_key.return_value = node  # type: ignore[attr-defined]
    assert authenticator.by_key("a node's", HOST) is node
    authenticator._throttle.record_failure.assert_not_called()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("wait_seconds", "kind"), [(0, Unauthorized), (3.2, TooMany)])
def test_an_unknown_key_is_counted_against_its_address(
    authenticator: Authenticator, wait_seconds: float, kind: type[Exception]
) -> None:
    authenticator._registry.by_key.return_value = None  # type: ignore[attr-defined]
    throttle = authenticator._throttle
    throttle.record_failure.return_value = wait_seconds  # type: ignore[attr-defined]
    with pytest.raises(kind) as caught:
        authenticator.by_key("wrong", HOST)
    throttle.record_failure.assert_called_once_with("key", HOST)  # type: ignore[attr-defined]
    if wait_seconds:
        assert caught.value.headers == {"Retry-After": "4"}  # type: ignore[attr-defined]


def test_while_an_address_must_wait_only_keys_that_were_right_there_are_judged(
    authenticator: Authenticator,
) -> None:
    throttle: Mock = authenticator._throttle  # type: ignore[assignment]
    registry: Mock = authenticator._registry  # type: ignore[assignment]
    node = Node("mac-1f2e", "Mac")
    registry.by_key.side_effect = {"of the node": node, "of another": node}.get
    assert authenticator.by_key("of the node", HOST) == node
    throttle.seconds_until_allowed.return_value, throttle.was_right.return_value = 7, False
    for key in ("a guess", PEOPLES_KEY, "of another"):
        registry.by_key.reset_mock()
        with pytest.raises(TooMany):
            authenticator.by_key(key, HOST)
        registry.by_key.assert_not_called()
    assert authenticator.by_key("of the node", HOST) == node
    throttle.was_right.side_effect = lambda key, address: (key, address) == ("of another", HOST)
    assert authenticator.by_key("of another", HOST) == node  # another coordinator has seen it


def test_an_old_key_that_is_tried_on_and_on_is_one_failure(authenticator: Authenticator) -> None:
    authenticator._registry.by_key.return_value = None  # type: ignore[attr-defined]
    for _ in range(10):
        with pytest.raises(Unauthorized):
            authenticator.by_key("an old one", HOST)
    assert authenticator._throttle.record_failure.call_count == 1  # type: ignore[attr-defined]


def test_without_the_database_guesses_at_the_key_of_the_settings_are_slowed_down(
    authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengthen_waits(monkeypatch)
    throttle: Mock = authenticator._throttle  # type: ignore[assignment]
    throttle.seconds_until_allowed.side_effect = DatabaseUnavailable("away")
    throttle.record_right.side_effect = DatabaseUnavailable("away")
    assert authenticator.by_key(PEOPLES_KEY, "10.0.0.8") == Person()
    for number in range(5):
        with pytest.raises(DatabaseUnavailable):
            authenticator.by_key(f"guess {number}", HOST)
    for key in ("guess 6", PEOPLES_KEY):
        with pytest.raises(TooMany):
            authenticator.by_key(key, HOST)
    assert authenticator.by_key(PEOPLES_KEY, "10.0.0.8") == Person()


def test_a_login_with_a_key_that_was_right_from_there_waits_for_nobody(
    authenticator: Authenticator,
) -> None:
    throttle: Mock = authenticator._throttle  # type: ignore[assignment]
    authenticator._sessions = Mock()
    throttle.was_right.return_value = False
    assert authenticator.log_in(PEOPLES_KEY, HOST)
    throttle.seconds_until_allowed.return_value = 7
    assert authenticator.log_in(PEOPLES_KEY, HOST)
    for key, address in (("a guess", HOST), (PEOPLES_KEY, "10.0.0.8")):
        with pytest.raises(TooMany):
            authenticator.log_in(key, address)


def test_while_an_address_must_wait_nothing_is_tried_and_success_resets_it(
    authenticator: Authenticator,
) -> None:
    throttle: Mock = authenticator._throttle  # type: ignore[assignment]
    throttle.seconds_until_allowed.return_value = 2
    with pytest.raises(TooMany), authenticator.throttled("join", HOST):
        pytest.fail("it was tried")
    throttle.seconds_until_allowed.return_value = 0
    with pytest.raises(Unauthorized), authenticator.throttled("join", HOST):
        raise KeyRejected("This code is wrong.")
    throttle.reset.assert_not_called()
    with authenticator.throttled("join", HOST):
        pass
    throttle.reset.assert_called_once_with("join", HOST)


def test_a_client_without_an_address_has_a_name_all_the_same() -> None:
    assert address_of(HTTPConnection(http_scope(client=(HOST, 1)))) == HOST
    assert address_of(HTTPConnection(http_scope(client=None))) == "unknown"
