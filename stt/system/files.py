"""Files that are written whole or not at all."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def replacement(path: Path, mode: int = 0o600) -> Iterator[IO[str]]:
    """Open a new file that replaces `path` unless the block raises; `mode` is as in `os.open`.

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
