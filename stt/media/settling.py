"""Leave files alone while they are being written."""

import time
from pathlib import Path

_State = tuple[int, int]
"""Size in bytes, and time of the last change in nanoseconds."""


class Settling:
    """Finds out when files have not changed for `settle_seconds`; one call at a time.

    A file that was last changed longer ago is at rest at once. A time of the future says nothing
    (clocks differ): such a file is at rest once it was seen unchanged for so long.
    """

    def __init__(self, settle_seconds: float) -> None:
        self.settle_seconds = settle_seconds
        self._first: dict[Path, _State] = {}
        self._latest: dict[Path, tuple[_State, float]] = {}  # with the time since which it is so

    def seconds_left(self, path: Path) -> float:
        """Look at a file, and return in how many seconds it is at rest if it does not change.

        0.0 also for one that cannot be looked at: reading it says why.
        """
        try:
            status = path.stat()
        except OSError:
            return 0.0
        now, state = time.monotonic(), (status.st_size, status.st_mtime_ns)
        latest, since = self._latest.get(path, (None, now))
        if latest != state:
            since = now
        self._first.setdefault(path, state)
        self._latest[path] = state, since
        age_seconds = time.time() - status.st_mtime
        unchanged_seconds = max(now - since, age_seconds if age_seconds >= 0 else 0.0)
        return max(0.0, self.settle_seconds - unchanged_seconds)

    def wait(self, path: Path) -> bool:
        """Wait until a file is at rest; return False as soon as it is found to be changing.

        That is: not at rest, and not as it was when it was first looked at, or at the end of the
        call before.
        """
        while (seconds := self.seconds_left(path)) > 0:
            state, _ = self._latest[path]
            if state != self._first[path]:
                self._first[path] = state
                return False
            time.sleep(seconds)
        return True
