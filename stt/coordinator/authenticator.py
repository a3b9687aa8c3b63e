"""The sender of a request: a person with the people's key or a session, or a node."""

import hmac
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from stt.coordinator.errors import ApiError, TooMany, Unauthorized
from stt.coordinator.store.login_throttle import LoginThrottle, Scope
from stt.coordinator.store.nodes import NodeRegistry
from stt.coordinator.store.sessions import Sessions, sha256
from stt.domain.node import Node
from stt.errors import KeyRejected
from stt.serving.senders import Sender, sender_of
from stt.settings import Settings
from stt.store.database import Database
from stt.system.single_flight import SingleFlight

_KEY_HASH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Person:
    """A holder of the people's key, or of a session that began with it; may do everything.

    `is_by_cookie`: a browser added the session's cookie, perhaps for a page on another port.
    """

    is_by_cookie: bool = False


Principal = Person | Node
"""The sender of a request, found by middleware/authentication.py before any route runs."""


class Authenticator:
    """Finds the sender of a request. Safe between threads.

    Methods that read the database raise DatabaseUnavailable.
    """

    def __init__(self, database: Database, settings: Settings, registry: NodeRegistry) -> None:
        key = settings.coordinator_key
        self._fixed_hash = sha256(key.get_secret_value()) if key is not None else None
        self._public_url = settings.public_url
        self._registry = registry
        self._sessions = Sessions(database)
        self._throttle = LoginThrottle(database)
        self._stored_hash = SingleFlight(self._sessions.key_hash, keep_seconds=_KEY_HASH_SECONDS)

    def is_fixed_key(self, key: str) -> bool:
        """Return whether this is STT_COORDINATOR_KEY; does not read the database."""
        return self._fixed_hash is not None and hmac.compare_digest(sha256(key), self._fixed_hash)

    def is_peoples_key(self, key: str) -> bool:
        """Compare with STT_COORDINATOR_KEY, or if that is not set with the stored key."""
        key_hash = self._key_hash()
        return key_hash is not None and hmac.compare_digest(sha256(key), key_hash)

    def by_key(self, key: str, address: str) -> Principal:
        """Return the owner of a key. Raises Unauthorized, TooMany, NodeRemoved."""
        found = Person() if self.is_peoples_key(key) else self._registry.by_key(key)
        if found is None:
            raise self._failure("key", address, "This key is wrong.")
        return found

    def has_session(self, token: str) -> bool:
        key_hash = self._key_hash()
        return key_hash is not None and self._sessions.has_session(token, key_hash)

    def log_in(self, key: str, address: str) -> str:
        """Return the token of a new session. Raises Unauthorized, TooMany."""
        with self.throttled("login", address):
            if not self.is_peoples_key(key):
                raise KeyRejected("This key is wrong.")
        return self._sessions.begin_session(sha256(key))

    def log_out(self, token: str) -> None:
        self._sessions.end_session(token)

    @contextmanager
    def throttled(self, scope: Scope, address: str) -> Iterator[None]:
        """Count a KeyRejected from within as a failure of this address.

        Raises Unauthorized in its place, or TooMany; TooMany at once while the address must wait.
        """
        if (wait_seconds := self._throttle.seconds_until_allowed(scope, address)) > 0:
            raise _too_many(wait_seconds)
        try:
            yield
        except KeyRejected as error:
            raise self._failure(scope, address, str(error)) from error
        self._throttle.reset(scope, address)

    def sender_of(self, connection: HTTPConnection) -> Sender:
        """Return whether a page of ours sent this, one of another site, or neither."""
        return sender_of(connection.headers, self._public_url)

    def _failure(self, scope: Scope, address: str, message: str) -> ApiError:
        wait_seconds = self._throttle.record_failure(scope, address)
        return _too_many(wait_seconds) if wait_seconds > 0 else Unauthorized(message)

    def _key_hash(self) -> str | None:
        return self._fixed_hash or self._stored_hash.get()


def address_of(connection: HTTPConnection) -> str:
    """Return the client's address; of one behind a trusted proxy as the proxy reports it."""
    return connection.client.host if connection.client else "unknown"


def _too_many(wait_seconds: float) -> TooMany:
    seconds = math.ceil(wait_seconds)
    return TooMany(
        f"Too many wrong keys from this address: try again in {seconds} s.",
        {"Retry-After": str(seconds)},
    )
