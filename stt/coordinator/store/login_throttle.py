"""How long clients that tried wrong keys have to wait before they may try again."""

from contextlib import suppress
from datetime import datetime
from ipaddress import IPv6Address, ip_address
from typing import Literal

from pymongo.errors import DuplicateKeyError

from stt.store.database import Repository
from stt.store.documents import read_count

Scope = Literal["key", "login", "join"]
"""What was tried. Each is counted separately, so that a node that keeps trying an old key from the
same address locks no person out."""

_FREE_FAILURES = 4
_MAX_WAIT_SECONDS = 60.0


class LoginThrottle(Repository):
    """Counts failures by scope and address in the `refusals` collection.

    From the fifth failure on the address has to wait: a second at first, then twice as long each
    time.
    """

    def seconds_until_allowed(self, scope: Scope, address: str) -> float:
        """Return the seconds until this address may try again; 0 if it may now."""
        document = self._db.refusals.find_one({"_id": _id(scope, address)}) or {}
        at, excess = document.get("at"), read_count(document.get("count")) - _FREE_FAILURES
        if excess <= 0 or not isinstance(at, datetime):
            return 0.0
        wait_seconds = min(_MAX_WAIT_SECONDS, 2.0 ** min(excess - 1, 30))
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


def _id(scope: Scope, address: str) -> str:
    """Return the id of a counter; the owner of one IPv6 address has 2^64 of them."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return f"{scope} {address}"
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        parsed = IPv6Address(int(parsed) >> 64 << 64)
    return f"{scope} {parsed}"
