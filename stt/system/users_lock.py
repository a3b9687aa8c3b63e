"""A file that the users of a server process hold locked, shared, for as long as they use it.

Its modification time is the moment until which the server stays without users. The system frees
the locks of a process that ends, however it ends.
"""

import fcntl
import os
import time

_MAX_STAY_SECONDS = 3_600  # the most that can be set


def take(lock: int) -> bool:
    """Take the lock exclusively if no other process holds it; return whether that worked."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def stay_until(users: int, moment: float) -> None:
    """Record until when a server without users stays, in seconds since 1970."""
    os.utime(users, (moment, moment))


def stays(users: int) -> bool:
    """Return whether a server without users stays; a clock that was set back ends that."""
    return 0 < os.fstat(users).st_mtime - time.time() <= _MAX_STAY_SECONDS
