"""Delay the judging of keys from addresses that guess, but not of keys known to be right.

From the fifth wrong key on an address has to wait before it is judged again: a second at first,
then twice as long each time, up to a minute. A key that was right from this address before is
judged at any time, so that guesses from the same network lock out no one; and one that was wrong
before is no further guess, so that a program with an old key does not either.
"""

import threading
import time
from collections import OrderedDict
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from typing import TypeVar

FREE_FAILURES = 4
MAX_WAIT_SECONDS = 60.0
_FORGET_SECONDS = 3_600.0
"""Failures are forgotten so long after the latest: people mistype a key now and then."""
_MAX_ENTRIES = 10_000

K = TypeVar("K")
V = TypeVar("V")


def wait_after(failures: int) -> float:
    """Return the seconds from the latest of so many failures until the next try is allowed."""
    excess = failures - FREE_FAILURES
    return 0.0 if excess <= 0 else min(MAX_WAIT_SECONDS, 2.0 ** min(excess - 1, 30))


def network_of(address: str) -> str:
    """Return what is counted as one client; the owner of one IPv6 address has 2^64 of them."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:100]
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)


class KeyThrottle:
    """Remembers which keys were right and wrong from which addresses, as hashes and in memory.

    The oldest entries are forgotten. Safe between threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._right: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._wrong: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def seconds_since_right(self, key: str, address: str) -> float | None:
        """Return when this key was first recorded as right from this address; None if never."""
        with self._lock:
            recorded_at = self._right.get(_entry(key, address))
        return None if recorded_at is None else time.monotonic() - recorded_at

    def is_repeated(self, key: str, address: str) -> bool:
        """Return whether this key was wrong from this address before."""
        with self._lock:
            return _entry(key, address) in self._wrong

    def seconds_until_allowed(self, address: str) -> float:
        """Return the seconds until a key that was not right before is judged; 0 if it is now."""
        with self._lock:
            count, at = self._failures.get(network_of(address), (0, 0.0))
        return max(0.0, at + wait_after(count) - time.monotonic())

    def record_right(self, key: str, address: str) -> None:
        with self._lock:
            _put(self._right, _entry(key, address), time.monotonic())

    def record_wrong(self, key: str, address: str) -> float:
        """Count a failure unless the key is repeated; return the seconds until the next try."""
        with self._lock:
            entry, network = _entry(key, address), network_of(address)
            if entry not in self._wrong:
                now = time.monotonic()
                count, at = self._failures.get(network, (0, now))
                count = 0 if now - at > _FORGET_SECONDS else count
                _put(self._failures, network, (count + 1, now))
            _put(self._wrong, entry, None)
        return self.seconds_until_allowed(address)


def _put(entries: OrderedDict[K, V], key: K, value: V) -> None:
    entries[key] = value
    entries.move_to_end(key)
    if len(entries) > _MAX_ENTRIES:
        entries.popitem(last=False)


def _entry(key: str, address: str) -> tuple[str, str]:
    return network_of(address), sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
