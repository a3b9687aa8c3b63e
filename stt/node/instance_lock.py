"""One node process a machine: the lock that says so, and what others may know of it.

Beside `node.json` lie `node.lock`, held for as long as the process lives (so `kill -9` frees it),
and `node.state.json`, which says who holds it and where its page is.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import requests
from filelock import FileLock, Timeout

from stt.errors import ConfigError

_ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class InstanceInfo:
    """What the last node process of this machine left; `page_url` is None where it has no page.

    `known_name` is the name on which `node.json` and the coordinator last agreed.
    """

    pid: int = 0
    page_url: str | None = None
    known_name: str | None = None


class InstanceLock:
    """Who is the node of one configuration folder."""

    def __init__(self, folder: Path) -> None:
        self._lock = FileLock(folder / "node.lock", mode=0o600)
        self._path = folder / "node.state.json"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Raises ConfigError if another process is this machine's node already."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            pid = self.info().pid
            raise ConfigError(
                f"This machine's node runs already (process {pid or 'unknown'}):"
                " `stt node status` shows it."
            ) from error
        except OSError as error:
            raise ConfigError(f"{self._path.parent} cannot be used: {error.strerror}.") from error
        try:
            self.tell(pid=os.getpid(), page_url=None)
            yield
        finally:
            self._lock.release()

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
        """Whatever can be read of them: they are for people, and nothing depends on them."""
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
            told = json.loads(self._path.read_text(encoding="utf-8"))
            pid, page, name = (told.get(key) for key in ("pid", "page_url", "known_name"))
            return InstanceInfo(
                pid if isinstance(pid, int) else 0,
                page if isinstance(page, str) else None,
                name if isinstance(name, str) else None,
            )
        return InstanceInfo()

    def look(self) -> dict[str, Any] | None:
        """What the process that runs says of itself by its page; None if it says nothing."""
        url = self.info().page_url
        if url is None:
            return None
        with requests.Session() as session:
            session.trust_env = False  # a proxy has no way to this machine's own address
            with contextlib.suppress(requests.RequestException):
                told = session.get(f"{url}/api/state", timeout=_ANSWER_SECONDS).json()
                return told if isinstance(told, dict) else None
        return None

    def forget(self) -> None:
        """No node is left whose traces these are."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def tell(self, **changes: object) -> None:
        """Changes some of the traces; a full disk is no reason to stop working."""
        text = json.dumps(asdict(replace(self.info(), **changes)))  # type: ignore[arg-type]
        with contextlib.suppress(OSError):
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
            draft = Path(name)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(text)
                draft.replace(self._path)
            finally:
                draft.unlink(missing_ok=True)
