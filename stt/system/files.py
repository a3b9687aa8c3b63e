"""Files that are written whole or not at all, and links that others may have planted."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_MAX_LINKS = 40  # as in Linux
_WRITABLE_BY_OTHERS = 0o022


def is_shared(folder: Path) -> bool:
    """Return whether another user, other than root, can put a file into this folder.

    Raises OSError if it is not there. Not known on Windows: False.
    """
    if os.name != "posix":
        return False
    status = folder.stat()
    is_foreign = status.st_uid not in (0, os.geteuid())
    return is_foreign or bool(status.st_mode & _WRITABLE_BY_OTHERS)


def is_planted(path: Path) -> bool:
    """Return whether this is a link that another user may have made. Raises OSError."""
    return path.is_symlink() and is_shared(path.parent)


def followed(path: Path) -> Path:
    """Follow links to a file, up to one that another user can have made. Raises OSError.

    A link that may be planted is returned as it is, for `replacement` to replace. So is one to a
    device or a pipe, such as /dev/stdout, which need not have a name of its own.
    """
    for _ in range(_MAX_LINKS):
        if not path.is_symlink() or is_shared(path.parent):
            return path
        if path.exists() and not path.is_file():
            return path
        path = path.parent / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


@contextlib.contextmanager
def replacement(path: Path, mode: int = 0o600) -> Iterator[IO[str]]:
    """Open a new file that replaces `path` unless the block raises; `mode` is as in `os.open`.

    If `path` is a link, the link is replaced, not the file that it leads to.

    Raises OSError, before the block if the folder cannot be written.
    """
    # Processes of two machines may have one id.
    draft = path.with_name(f".stt-{os.getpid()}-{secrets.token_hex(4)}.part")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
