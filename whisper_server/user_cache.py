"""The folder for what can be made again: measured shapes, joined weights."""

import contextlib
import os
import stat
import tempfile
from functools import cache
from pathlib import Path

import platformdirs

_WRITABLE_BY_OTHERS = 0o022


def cache_folder() -> Path:
    """Return our folder in the user's cache, as the platform has it; it may not exist yet."""
    try:
        return platformdirs.user_cache_path("stt", appauthor=False, opinion=False)
    except RuntimeError:  # a container may run as a user without a home
        return _temporary_folder(Path(tempfile.gettempdir()) / "stt")


@cache
def _temporary_folder(folder: Path) -> Path:
    """Return this folder, or a new one if another user has taken its name.

    What lies there is trusted: nobody else may be able to write to it.
    """
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
        if is_own and not status.st_mode & _WRITABLE_BY_OTHERS:
            return folder
    return Path(tempfile.mkdtemp(prefix="stt-"))
