"""The sender of a request: a person with the people's key or a session, or a node."""

import hmac
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from stt.coordinator.errors import ApiError, TooMany, Unauthorized
from stt.coordinator.store.login_throttle import RIGHT_SECONDS, LoginThrottle, Scope
from stt.coordinator.store.nodes import NodeRegistry
from stt.coordinator.store.sessions import Sessions, sha256
from stt.domain.node import Node
from stt.errors import DatabaseUnavailable, KeyRejected
from stt.serving.key_throttle import KeyThrottle
from stt.serving.senders import Sender, sender_of
from stt.settings import Settings
from stt.store.database import Database
from stt.system.single_flight import SingleFlight

_KEY_HASH_SECONDS = 2.0
_WRONG = "This key is wrong."


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
        self._recent = KeyThrottle()
        self._stored_hash = SingleFlight(self._sessions.key_hash, keep_seconds=_KEY_HASH_SECONDS)

    def is_known_fixed_key(self, key: str, address: str) -> bool:
        """Return whether this is STT_COORDINATOR_KEY, used from this address before.

        Does not read the database.
        """
        return self._is_recent(key, address) and self._is_fixed_key(key)

    def is_peoples_key(self, key: str) -> bool:
        """Compare with STT_COORDINATOR_KEY, or if that is not set with the stored key."""
        key_hash = self._key_hash()
        return key_hash is not None and hmac.compare_digest(sha256(key), key_hash)

    def by_key(self, key: str, address: str) -> Principal:
        """Return the owner of a key. Raises Unauthorized, TooMany, NodeRemoved.

        While the address must wait, only keys that were right from there before are judged. The key
        of the settings needs no database.
        """
        try:
            return self._judged(key, address)
        except DatabaseUnavailable:
            if self._fixed_hash is None:
                raise
            return self._judged_without_database(key, address)

    def _judged(self, key: str, address: str) -> Principal:
        if not self._is_recent(key, address):
            wait_seconds = self._throttle.seconds_until_allowed("key", address)
            if wait_seconds > 0 and not self._throttle.was_right(key, address):
                raise _too_many(wait_seconds)
        found = Person() if self.is_peoples_key(key) else self._registry.by_key(key)
        if found is not None:
            self._record_right(key, address)
            return found
        if self._recent.is_repeated(key, address):  # no further guess
            raise Unauthorized(_WRONG)
        self._recent.record_wrong(key, address)
        raise self._failure("key", address, _WRONG)

    def _judged_without_database(self, key: str, address: str) -> Principal:
        """Return a person for the key of the settings; raise DatabaseUnavailable for others."""
        if not self._is_recent(key, address):
            wait_seconds = self._recent.seconds_until_allowed(address)
            if wait_seconds > 0:
                raise _too_many(wait_seconds)
        if self._is_fixed_key(key):
            self._recent.record_right(key, address)
            return Person()
        self._recent.record_wrong(key, address)
        raise DatabaseUnavailable("The database is away: whose key this is cannot be found out.")

    def has_session(self, token: str) -> bool:
        key_hash = self._key_hash()
        return key_hash is not None and self._sessions.has_session(token, key_hash)

    def log_in(self, key: str, address: str) -> str:
        """Return the token of a new session. Raises Unauthorized, TooMany."""
        if not (self._was_right(key, address) and self.is_peoples_key(key)):
            with self.throttled("login", address):
                if not self.is_peoples_key(key):
                    raise KeyRejected(_WRONG)
        self._record_right(key, address)
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

    def _is_fixed_key(self, key: str) -> bool:
        return self._fixed_hash is not None and hmac.compare_digest(sha256(key), self._fixed_hash)

    def _was_right(self, key: str, address: str) -> bool:
        """Return whether this key was right from this address before, at any coordinator."""
        return self._is_recent(key, address) or self._throttle.was_right(key, address)

    def _is_recent(self, key: str, address: str) -> bool:
        return self._recent.seconds_since_right(key, address) is not None

    def _record_right(self, key: str, address: str) -> None:
        seconds = self._recent.seconds_since_right(key, address)
        if seconds is None or seconds > RIGHT_SECONDS / 4:
            self._throttle.record_right(key, address)
            self._recent.record_right(key, address)

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
