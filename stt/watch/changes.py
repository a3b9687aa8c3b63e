"""What the system reports of changes in a folder, as soon as it does."""

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import watchfiles

_DEBOUNCE_MS = 400
_STOP_SECONDS = 5.0

logger = logging.getLogger(__name__)


class Changes(AbstractContextManager["Changes"]):
    """The changed paths of a folder that exists; `wake` is called when there are some.

    Folders of other machines report nothing, and a system has a limit for how many folders it
    reports: search the folder now and then too.
    """

    def __init__(self, folder: Path, wake: Callable[[], object]) -> None:
        self._folder = folder
        self._wake = wake
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._paths: set[Path] = set()
        self._thread = threading.Thread(target=self._run, name="changes", daemon=True)

    def __enter__(self) -> "Changes":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(_STOP_SECONDS)

    def take(self) -> set[Path]:
        """Return the paths that have changed since the last call."""
        with self._lock:
            paths, self._paths = self._paths, set()
        return paths

    def _run(self) -> None:
        try:
            for found in watchfiles.watch(
                self._folder,
                watch_filter=None,
                debounce=_DEBOUNCE_MS,
                stop_event=self._stop,
                raise_interrupt=False,
                ignore_permission_denied=True,
            ):
                with self._lock:
                    self._paths |= {
                        Path(path) for change, path in found if change != watchfiles.Change.deleted
                    }
                self._wake()
        except (OSError, RuntimeError) as error:
            logger.warning(
                "The system does not report changes in %s (%s): it is searched now and then",
                self._folder, error,
            )  # fmt: skip
