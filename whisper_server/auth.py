"""The Bearer key: compared in constant time, never logged."""

import hmac
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from whisper_server.errors import WrongKey

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
    """Return a dependency that raises WrongKey before a byte of the body is read."""

    async def check(
        request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
    ) -> None:
        if key_matches(request.headers.get("authorization"), key):
            request.state.principal = "key"  # so that the server keeps the connection for longer
            return
        sent_any = "authorization" in request.headers
        raise WrongKey(
            "The API key is wrong."
            if sent_any
            else "This server wants an API key: send it as 'Authorization: Bearer KEY'.",
        )

    return check
