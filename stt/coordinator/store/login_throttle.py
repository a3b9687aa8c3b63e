"""How long clients that tried wrong keys have to wait before they may try again."""

import hashlib
from contextlib import suppress
from datetime import datetime
from typing import Literal

from pymongo.errors import DuplicateKeyError

from stt.serving.key_throttle import network_of, wait_after
from stt.store.database import Repository
from stt.store.documents import read_count

Scope = Literal["key", "login", "join"]
"""What was tried. Each is counted separately, so that a node that keeps trying an old key from the
same address locks no person out."""

RIGHT_SECONDS = 3_600
"""How long the `refusals` collection keeps an entry after its `at`."""


class LoginThrottle(Repository):
    """Counts failures by scope and address in the `refusals` collection, for all coordinators.

    It also keeps which keys were right from which addresses, as hashes of both together, so that
    a coordinator that was restarted knows them.
    """

    def seconds_until_allowed(self, scope: Scope, address: str) -> float:
        """Return the seconds until this address may try again; 0 if it may now."""
        document = self._db.refusals.find_one({"_id": _id(scope, address)}) or {}
        at, wait_seconds = document.get("at"), wait_after(read_count(document.get("count")))
        if wait_seconds <= 0 or not isinstance(at, datetime):
            return 0.0
        return max(0.0, wait_seconds - (self._db.server_time() - at).total_seconds())

    def record_failure(self, scope: Scope, address: str) -> float:
        """Count a failure and return the seconds until the next try is allowed.

        Tries before that are not counted: they cost a read, and no write.
        """
        wait_seconds = self.seconds_until_allowed(scope, address)
        if wait_seconds > 0:
            return wait_seconds
        counted = {"$inc": {"count": 1}, "$currentDate": {"at": True}}
        # Two at once may both insert the document: then one of them is not counted.
        with suppress(DuplicateKeyError):
            self._db.refusals.update_one({"_id": _id(scope, address)}, counted, upsert=True)
        return self.seconds_until_allowed(scope, address)

    def reset(self, scope: Scope, address: str) -> None:
        """Forget the failures of an address that has the right key."""
        self._db.refusals.delete_one({"_id": _id(scope, address)})

    def was_right(self, key: str, address: str) -> bool:
        """Return whether a coordinator has recorded this key as right from this address."""
        return self._db.refusals.find_one({"_id": _right_id(key, address)}, ["_id"]) is not None

    def record_right(self, key: str, address: str) -> None:
        """Keep that this key was right from this address, for RIGHT_SECONDS."""
        now = {"$currentDate": {"at": True}}
        with suppress(DuplicateKeyError):
            self._db.refusals.update_one({"_id": _right_id(key, address)}, now, upsert=True)


def _id(scope: Scope, address: str) -> str:
    return f"{scope} {network_of(address)}"


def _right_id(key: str, address: str) -> str:
    text = f"{network_of(address)} {key}".encode("utf-8", "surrogatepass")
    return f"right {hashlib.sha256(text).hexdigest()}"
