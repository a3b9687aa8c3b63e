"""The Bearer key: compared in constant time, never logged; guesses at it are slowed down."""

import hmac
from collections.abc import Awaitable, Callable
from math import ceil
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from stt.serving.key_throttle import KeyThrottle
from whisper_server.errors import TooManyWrongKeys, WrongKey

_BEARER = HTTPBearer(auto_error=False, description="The server's `API_KEY`.")
"""For the OpenAPI page only; the key is read from the header's bytes."""


def key_matches(authorization: str | None, key: SecretStr) -> bool:
    """Return whether an `Authorization` header, as Starlette decodes it (Latin-1), has `key`."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        return False
    sent = token.strip().encode("latin-1", errors="replace")
    return hmac.compare_digest(sent, key.get_secret_value().encode("utf-8"))


def require_key(key: SecretStr) -> Callable[..., Awaitable[None]]:
    """Return a dependency that raises before a byte of the body is read.

    It raises WrongKey, or TooManyWrongKeys while keys from this address are not judged.
    """
    throttle = KeyThrottle()

    async def check(
        request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
    ) -> None:
        authorization = request.headers.get("authorization")
        if authorization is None:
            raise WrongKey(
                "This server wants an API key: send it as 'Authorization: Bearer KEY'.",
            )
        address = request.client.host if request.client else "unknown"
        if throttle.seconds_since_right(authorization, address) is None:
            _raise_if_closed(throttle.seconds_until_allowed(address))
        if key_matches(authorization, key):
            throttle.record_right(authorization, address)
            request.state.principal = "key"  # so that the server keeps the connection for longer
            return
        _raise_if_closed(throttle.record_wrong(authorization, address))
        raise WrongKey("The API key is wrong.")

    return check


def _raise_if_closed(wait_seconds: float) -> None:
    if wait_seconds > 0:
        raise TooManyWrongKeys(ceil(wait_seconds))
