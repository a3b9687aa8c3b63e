"""Who has come in with the people's key, who tried in vain, and the key that was made here.

Keys and session tokens are in the database as SHA-256 alone. That is enough, without a slow hash:
the tokens are random, and the key is random or too long to be guessed.
"""

import hashlib
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, ip_address
from typing import Any, Literal

from pymongo.errors import DuplicateKeyError

from stt.store.database import Database, translated
from stt.store.documents import read_count

SESSION_DAYS = 30

Door = Literal["key", "login", "join"]
"""Where somebody tried: each counts for itself, so that a node with an old key, trying for ever
from the same address, locks no person out."""

_FREE_TRIES = 4
_MAX_WAIT_SECONDS = 60.0
_KEY = "people_key"


def sha256(secret: str) -> str:
    """What the database has of a secret, in hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def new_secret() -> str:
    """A key or a token that nobody can guess: 256 random bits, safe in headers and cookies."""
    return secrets.token_urlsafe(32)


class Sessions:
    """Reads and writes `sessions`, `refusals`, and the key's hash in `options`.

    Every method raises DatabaseUnavailable.
    """

    def __init__(self, database: Database) -> None:
        self._db = database

    def key_hash(self) -> str | None:
        """The hash of the people's key that a coordinator has made; None if none has."""
        with translated():
            document = self._db.options.find_one({"_id": _KEY})
        found = document.get("sha256") if document else None
        return found if isinstance(found, str) else None

    def make_key(self, *, anew: bool = False) -> str | None:
        """A new key, stored as its hash; None if there is one already and `anew` is not wished."""
        key = new_secret()
        stored = {"sha256": sha256(key)}
        with translated():
            if anew:
                self._db.options.update_one({"_id": _KEY}, {"$set": stored}, upsert=True)
                return key
            try:
                self._db.options.insert_one({"_id": _KEY, **stored})
            except DuplicateKeyError:  # that of another coordinator, perhaps of this very moment
                return None
        return key

    def begin_session(self, key_hash: str) -> str:
        """A token for a cookie; its session ends with the key that it began with."""
        token = new_secret()
        expires_at = datetime.now(UTC) + timedelta(days=SESSION_DAYS)
        with translated():
            self._db.sessions.insert_one(
                {"_id": sha256(token), "key_sha256": key_hash, "expires_at": expires_at}
            )
        return token

    def has_session(self, token: str, key_hash: str) -> bool:
        """True if it began with this key, nobody has ended it, and it is not too old."""
        # The index that forgets old ones takes its time.
        living = {"key_sha256": key_hash, "expires_at": {"$gt": datetime.now(UTC)}}
        with translated():
            return self._db.sessions.find_one({"_id": sha256(token), **living}, ["_id"]) is not None

    def end_session(self, token: str) -> None:
        with translated():
            self._db.sessions.delete_one({"_id": sha256(token)})

    def seconds_shut(self, door: Door, address: str) -> float:
        """How long nobody at this address is listened to at this door; 0 if it is open."""
        with translated():
            document = self._db.refusals.find_one({"_id": _place(door, address)})
        if document is None or read_count(document.get("count")) <= _FREE_TRIES:
            return 0.0
        return _seconds_left(document, self._db.server_time())

    def refuse(self, door: Door, address: str) -> float:
        """Counts a wrong key; how long the door is shut now, in seconds.

        From the fifth on it is, for a second at first and then for twice as long each time. Tries
        at a shut door are not counted: they cost a look, and no write.
        """
        shut = self.seconds_shut(door, address)
        if shut > 0:
            return shut
        place = _place(door, address)
        counted = {"$inc": {"count": 1}, "$currentDate": {"at": True}}
        # Two at once may both want to make the document: then one of them goes uncounted.
        with translated(), suppress(DuplicateKeyError):
            self._db.refusals.update_one({"_id": place}, counted, upsert=True)
        return self.seconds_shut(door, address)

    def forgive(self, door: Door, address: str) -> None:
        """Somebody there knows the right one."""
        with translated():
            self._db.refusals.delete_one({"_id": _place(door, address)})


def _place(door: Door, address: str) -> str:
    """Where a try came from. Whoever has one IPv6 address has 2^64 of them."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return f"{door} {address}"
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        parsed = IPv6Address(int(parsed) >> 64 << 64)
    return f"{door} {parsed}"


def _seconds_left(refused: Mapping[str, Any], now: datetime) -> float:
    at, doublings = refused.get("at"), read_count(refused.get("count")) - _FREE_TRIES - 1
    if not isinstance(at, datetime):
        return 0.0
    wait = min(_MAX_WAIT_SECONDS, 2.0 ** min(doublings, 30))
    return max(0.0, wait - (now - at).total_seconds())
