"""The people's key that a coordinator made, and the sessions of browsers.

The database stores SHA-256 of keys and tokens alone. A slow hash is not needed: the tokens are
random, and the key is random or too long to be guessed.
"""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta

from pymongo.errors import DuplicateKeyError

from stt.store.database import Repository

SESSION_DAYS = 30
_KEY_ID = "people_key"


def sha256(secret: str) -> str:
    """Return what the database stores of a secret, in hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def new_secret() -> str:
    """Return a key or a token of 256 random bits, safe in headers and cookies."""
    return secrets.token_urlsafe(32)


class Sessions(Repository):
    """Reads and writes `sessions`, and the key's hash in `options`."""

    def key_hash(self) -> str | None:
        """Return the hash of the key that a coordinator has made; None if none has."""
        document = self._db.options.find_one({"_id": _KEY_ID})
        found = document.get("sha256") if document else None
        return found if isinstance(found, str) else None

    def make_key(self, *, anew: bool = False) -> str | None:
        """Make a key and store its hash; return None if there is one already, unless `anew`."""
        key = new_secret()
        stored = {"sha256": sha256(key)}
        if anew:
            self._db.options.update_one({"_id": _KEY_ID}, {"$set": stored}, upsert=True)
            return key
        try:
            self._db.options.insert_one({"_id": _KEY_ID, **stored})
        except DuplicateKeyError:  # another coordinator may have made one at this moment
            return None
        return key

    def begin_session(self, key_hash: str) -> str:
        """Return a token for a cookie; its session ends with the key that it began with."""
        token = new_secret()
        expires_at = datetime.now(UTC) + timedelta(days=SESSION_DAYS)
        self._db.sessions.insert_one(
            {"_id": sha256(token), "key_sha256": key_hash, "expires_at": expires_at}
        )
        return token

    def has_session(self, token: str, key_hash: str) -> bool:
        """Return whether the session began with this key and is neither ended nor expired."""
        # The index that removes expired ones takes its time.
        query = {
            "_id": sha256(token),
            "key_sha256": key_hash,
            "expires_at": {"$gt": datetime.now(UTC)},
        }
        return self._db.sessions.find_one(query, ["_id"]) is not None

    def end_session(self, token: str) -> None:
        self._db.sessions.delete_one({"_id": sha256(token)})
