"""The Bearer key."""

import pytest
import requests
from pydantic import SecretStr

from tests.support.whisper_stand_in import error_of, running
from whisper_server.auth import key_matches

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
    with running(API_KEY="gehëim") as server:
        for path in ("/health", "/ready"):
            assert requests.get(server.url + path, timeout=60).ok
        for key in (None, "wrong", "gehëim ", "✓"):
            headers = {} if key is None else {"Authorization": f"Bearer {key}x".encode()}
            response = server.post(headers=headers)
            assert response.status_code == 401
            assert response.headers["WWW-Authenticate"] == "Bearer"
            assert error_of(response)["code"] == "invalid_api_key"
        assert requests.get(server.url + "/v1/models", timeout=60).status_code == 401
        assert server.engine.calls == []
        right = {"Authorization": "Bearer gehëim".encode()}
        assert server.post(headers=right).ok
