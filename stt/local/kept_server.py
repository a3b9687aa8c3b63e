"""The file of a whisper server that stays for the next command: how to reach it, and its users.

Each command that uses the server holds the file locked, as `stt.system.users_lock` describes; the
server's process holds a record lock of it, so that no other program that took over its port is
taken for the server. The file gets its name once a command that ended well lets the server stay; of
several servers the last one has it, and the others end with their users.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import stt
from stt.system.users_lock import stay_until, take

# Variables that differ between terminals, and ours, which a whisper server does not read.
_NOT_READ = re.compile(
    r"_$|OLDPWD$|SHLVL$|COLUMNS$|LINES$|TERM|WINDOWID$|SSH_|TMUX|API_KEY$|STT_|NODE_|MONGO_"
)


@dataclass(frozen=True, slots=True)
class KeptServer:
    """What another command needs of a server; `made_for`: what it was started with."""

    url: str
    key: str
    made_for: str


def fingerprint(flags: Sequence[str]) -> str:
    """Return a hash of all that a server started here and now with these flags depends on."""
    parts = [stt.__version__, sys.executable, *flags]
    variables = ((k, v) for k, v in os.environ.items() if not _NOT_READ.match(k))
    parts += (f"{name}={value}" for name, value in sorted(variables))
    with contextlib.suppress(OSError):
        parts.append(str(Path.cwd()))
        parts.append(Path(".env").read_text(errors="replace"))
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()


class ServerFile:
    """One server's file, opened and locked by one command that uses the server."""

    def __init__(self, folder: Path, handle: int, draft: Path | None) -> None:
        self._path = _path(folder)
        self._handle = handle
        self._draft = draft

    @classmethod
    def new(cls, folder: Path) -> "ServerFile":
        """Make the file of a server that is about to start. Raises OSError."""
        _remove_drafts(folder)
        draft = folder / f"whisper-server.{secrets.token_hex(8)}"
        handle = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(handle, fcntl.LOCK_SH)
        stay_until(handle, 0.0)
        return cls(folder, handle, draft)

    @classmethod
    def find(cls, folder: Path, made_for: str) -> "tuple[ServerFile, KeptServer] | None":
        """Use the server that an earlier command left, if it is one `made_for` the same.

        Let another one go, which may hold the memory that the next needs.
        """
        try:
            handle = os.open(_path(folder), os.O_RDWR)
        except OSError:
            return None
        with contextlib.suppress(OSError, ValueError, TypeError):
            kept = KeptServer(**json.loads(os.pread(handle, 10_000, 0)))
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            stay_until(handle, 0.0)
            file = cls(folder, handle, None)
            if kept.made_for == made_for and file.is_server_alive():
                return file, kept
        os.close(handle)
        return None

    def open_for_server(self) -> int:
        """Return another handle of the file, for the process of the server to inherit."""
        assert self._draft is not None, "only a server that starts gets one"
        return os.open(self._draft, os.O_RDWR)

    def is_server_alive(self) -> bool:
        """Return whether the server's process holds its lock."""
        try:
            fcntl.lockf(self._handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        fcntl.lockf(self._handle, fcntl.LOCK_UN)
        return False

    def leave(self, seconds: float, kept: KeptServer | None = None) -> None:
        """Let the server stay for `seconds` after its last user, as `kept` if it is a new one."""
        if kept is not None and self._draft is not None:
            os.pwrite(self._handle, json.dumps(asdict(kept)).encode(), 0)
            with contextlib.suppress(OSError), self._path.open("rb") as earlier:
                stay_until(earlier.fileno(), 0.0)
            self._draft.replace(self._path)
            self._draft = None
        is_last_one = _is_same(self._handle, self._path)
        stay_until(self._handle, time.time() + seconds if is_last_one else 0.0)
        self.close()

    def close(self) -> None:
        """Stop using the server, whose file goes unless it has stayed for others."""
        os.close(self._handle)
        if self._draft is not None:
            self._draft.unlink(missing_ok=True)


def _remove_drafts(folder: Path) -> None:
    """Remove the files of commands that were killed, which no process uses."""
    for draft in folder.glob("whisper-server.????????????????"):
        with contextlib.suppress(OSError), draft.open("rb") as file:
            if take(file.fileno()):
                draft.unlink()


def _path(folder: Path) -> Path:
    return folder / "whisper-server.json"


def _is_same(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False
