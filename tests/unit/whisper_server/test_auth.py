"""The Bearer key."""

import pytest
from pydantic import SecretStr

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
