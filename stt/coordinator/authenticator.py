"""Who asks: the people's key, a session that began with it, or a node's key."""

import hmac
import math
from dataclasses import dataclass
from typing import NoReturn

from starlette.requests import HTTPConnection

from stt.coordinator.errors import TooMany, Unauthorized
from stt.coordinator.store.nodes import Node, NodeRegistry
from stt.coordinator.store.sessions import Door, Sessions, sha256
from stt.coordinator.store.single_flight import SingleFlight
from stt.settings import Settings

_KEY_HASH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Person:
    """Who has the key for people, or a session that began with it; may do everything."""


Principal = Person | Node
"""Who asks; the middleware of access_control.py has found it out before any route runs."""


class Authenticator:
    """Finds out who asks. Safe between threads; its methods may wait for the database."""

    def __init__(self, settings: Settings, access: Sessions, registry: NodeRegistry) -> None:
        key = settings.coordinator_key
        self._fixed_hash = sha256(key.get_secret_value()) if key is not None else None
        self._public_url = settings.public_url
        self._access = access
        self._registry = registry
        self._stored_hash = SingleFlight(access.key_hash, keep_seconds=_KEY_HASH_SECONDS)

    def is_fixed_key(self, key: str) -> bool:
        """True for the people's key where no database is needed to know it."""
        return self._fixed_hash is not None and hmac.compare_digest(sha256(key), self._fixed_hash)

    def is_peoples_key(self, key: str) -> bool:
        """That of STT_COORDINATOR_KEY, or without one that which a coordinator has made.

        Raises DatabaseUnavailable.
        """
        wanted = self._key_hash()
        return wanted is not None and hmac.compare_digest(sha256(key), wanted)

    def by_key(self, key: str, address: str) -> Principal:
        """Raises Unauthorized, TooMany, NodeRemoved, DatabaseUnavailable."""
        found = Person() if self.is_peoples_key(key) else self._registry.by_key(key)
        if found is None:
            self.refuse("key", address, "This key is wrong.")
        return found

    def authenticate_session(self, token: str) -> Principal:
        """Raises Unauthorized, DatabaseUnavailable."""
        if not self.has_session(token):
            raise Unauthorized("This session is over: log in again.")
        return Person()

    def has_session(self, token: str) -> bool:
        """Raises DatabaseUnavailable."""
        wanted = self._key_hash()
        return wanted is not None and self._access.has_session(token, wanted)

    def log_in(self, key: str, address: str) -> str:
        """The token of a new session. Raises Unauthorized, TooMany, DatabaseUnavailable."""
        self.check_open("login", address)
        wanted = self._key_hash()
        if wanted is None or not hmac.compare_digest(sha256(key), wanted):
            self.refuse("login", address, "This key is wrong.")
        self._access.forgive("login", address)
        return self._access.begin_session(wanted)

    def log_out(self, token: str) -> None:
        """Raises DatabaseUnavailable."""
        self._access.end_session(token)

    def check_open(self, door: Door, address: str) -> None:
        """Raises TooMany while this address has tried too often; DatabaseUnavailable."""
        if (shut := self._access.seconds_shut(door, address)) > 0:
            raise _too_many(shut)

    def refuse(self, door: Door, address: str, message: str) -> NoReturn:
        """Counts a wrong key or code. Raises Unauthorized or TooMany; DatabaseUnavailable."""
        if (shut := self._access.refuse(door, address)) > 0:
            raise _too_many(shut)
        raise Unauthorized(message)

    def forgive(self, door: Door, address: str) -> None:
        """Somebody at this address has the right key or code. Raises DatabaseUnavailable."""
        self._access.forgive(door, address)

    def is_own_page(self, connection: HTTPConnection) -> bool:
        """True if the browser says that a page of ours asks, which another's cannot forge."""
        site = connection.headers.get("sec-fetch-site")
        if site is not None:
            return site == "same-origin"
        # Over plain HTTP browsers do not send that. A proxy may rewrite Host: then the origin is
        # the public address, which a setting tells.
        origin = connection.headers.get("origin", "")
        host = origin.partition("://")[2]
        return host != "" and (host == connection.headers.get("host") or origin == self._public_url)

    def _key_hash(self) -> str | None:
        if self._fixed_hash is not None:
            return self._fixed_hash
        return self._stored_hash.get()


def address_of(connection: HTTPConnection) -> str:
    """The client's address: behind a proxy that STT_TRUSTED_PROXIES names, as that one tells."""
    return connection.client.host if connection.client else "unknown"


def _too_many(shut_seconds: float) -> TooMany:
    seconds = math.ceil(shut_seconds)
    return TooMany(
        f"Too many wrong keys from this address: try again in {seconds} s.",
        {"Retry-After": str(seconds)},
    )
