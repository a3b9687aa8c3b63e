"""One node process a machine: the lock that ensures it, and what is recorded of its holder.

Beside `node.json` lie `node.lock`, held for as long as the process lives (so `kill -9` frees it),
and `node.state.json`, which records who holds it and where its page is.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from stt.errors import ConfigError
from stt.system.files import replacement


@dataclass(frozen=True, slots=True)
class InstanceInfo:
    """The record of this machine's last node process; `page_url` is None if it has no page.

    `known_name` is the name on which `node.json` and the coordinator last agreed.
    """

    pid: int = 0
    page_url: str | None = None
    known_name: str | None = None


_INFO = TypeAdapter(InstanceInfo)


class InstanceLock:
    """The lock of one configuration folder."""

    def __init__(self, folder: Path) -> None:
        self._lock = FileLock(folder / "node.lock", mode=0o600)
        self._path = folder / "node.state.json"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock. Raises ConfigError if another process of this machine does."""
        try:
            held = self._lock.acquire(timeout=0)
        except Timeout as error:
            pid = self.info().pid
            raise ConfigError(
                f"This machine's node runs already (process {pid or 'unknown'}):"
                " `stt node status` shows it."
            ) from error
        except OSError as error:
            raise ConfigError(f"{self._path.parent} cannot be used: {error.strerror}.") from error
        with held:
            self.update(pid=os.getpid(), page_url=None)
            yield

    def is_held(self) -> bool:
        if not self._path.parent.is_dir():
            return False
        try:
            with self._lock.acquire(timeout=0):
                return False
        except Timeout:
            return True
        except OSError:
            return False

    def info(self) -> InstanceInfo:
        """Return the record; an empty one if it cannot be read, since no function depends on it."""
        with contextlib.suppress(OSError, ValueError):
            return _INFO.validate_json(self._path.read_bytes())
        return InstanceInfo()

    def update(self, **changes: object) -> None:
        """Change fields of the record; errors are ignored, such as that of a full disk."""
        info = replace(self.info(), **changes)  # type: ignore[arg-type]
        with contextlib.suppress(OSError), replacement(self._path) as file:
            file.write(_INFO.dump_json(info).decode())

    def remove_info(self) -> None:
        """Remove the record of a node that has left its coordinator."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
