"""The Bearer key."""

import asyncio
import contextlib
from collections.abc import Iterable

import pytest
import requests
from pydantic import SecretStr
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from tests.support.asgi import call, http_scope
from tests.support.long_waits import lengthen_waits
from tests.support.whisper_stand_in import Running, error_of, running
from whisper_server.auth import key_matches, require_key
from whisper_server.errors import WrongKey

KEY = SecretStr("s3cret")


@pytest.mark.parametrize("header", ["Bearer s3cret", "bearer s3cret", "Bearer  s3cret "])
def test_the_right_key_opens(header: str) -> None:
    assert key_matches(header, KEY)


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3crets", "Basic s3cret"]
)
def test_anything_else_does_not(header: str | None) -> None:
    assert not key_matches(header, KEY)


def test_a_key_beyond_ascii_is_compared_by_its_bytes() -> None:
    as_starlette_sees_it = "Bearer " + "schlüssel-✓".encode().decode("latin-1")
    assert key_matches(as_starlette_sees_it, SecretStr("schlüssel-✓"))
    assert not key_matches(as_starlette_sees_it, KEY)
    assert not key_matches("Bearer ✓", KEY)


def test_a_key_guards_everything_but_health() -> None:
    with running(API_KEY="ein-gehëimer-schlüssel") as server:
        for path in ("/health", "/ready"):
            assert requests.get(server.url + path, timeout=60).ok
        for key in (None, "wrong", "ein-gehëimer-schlüssel ", "✓"):
            headers = {} if key is None else {"Authorization": f"Bearer {key}x".encode()}
            response = server.post(headers=headers)
            assert response.status_code == 401
            assert response.headers["WWW-Authenticate"] == "Bearer"
            assert error_of(response)["code"] == "invalid_api_key"
        assert requests.get(server.url + "/v1/models", timeout=60).status_code == 401
        assert server.engine.calls == []
        right = {"Authorization": "Bearer ein-gehëimer-schlüssel".encode()}
        assert server.post(headers=right).ok


def statuses(server: Running, keys: Iterable[str]) -> list[int]:
    with requests.Session() as session:
        sent = ({"Authorization": f"Bearer {key}"} for key in keys)
        url = f"{server.url}/v1/models"
        return [session.get(url, headers=headers, timeout=60).status_code for headers in sent]


def test_guesses_slow_down_and_a_key_that_was_right_from_there_is_served_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lengthen_waits(monkeypatch)
    with running(API_KEY="open-sesame-for-all") as server:
        assert statuses(server, ["open-sesame-for-all"]) == [200]
        guesses = statuses(server, map("guess {}".format, range(10)))
        assert guesses == [401] * 4 + [429] * 6
        headers = {"Authorization": "Bearer guess 99"}
        refused = requests.get(f"{server.url}/v1/models", headers=headers, timeout=60)
        assert (refused.status_code, error_of(refused)["code"]) == (429, "too_many_wrong_keys")
        assert int(refused.headers["Retry-After"]) >= 1
        assert statuses(server, ["open-sesame-for-all"]) == [200]


def test_a_right_key_that_was_never_used_from_there_waits_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lengthen_waits(monkeypatch)
    with running(API_KEY="open-sesame-for-all") as server:
        statuses(server, map("guess {}".format, range(8)))
        assert statuses(server, ["open-sesame-for-all"]) == [429]


def test_an_old_key_that_is_tried_on_and_on_locks_nobody_out() -> None:
    with running(API_KEY="open-sesame-for-all") as server:
        assert statuses(server, ["old"] * 20) == [401] * 20
        assert statuses(server, ["open-sesame-for-all"]) == [200]


@pytest.mark.parametrize("key", ["s3cret", None])
def test_the_connection_of_a_caller_with_the_key_is_kept_for_longer(key: str | None) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(WrongKey):
            await require_key(KEY)(Request(scope), None)

    headers = [] if key is None else [(b"authorization", f"Bearer {key}".encode())]
    scope = http_scope(headers=headers)
    asyncio.run(call(app, scope))
    assert ("principal" in scope["state"]) == (key is not None)
