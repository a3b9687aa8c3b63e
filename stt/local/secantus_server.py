"""Run SecantusDB with one user: `python -m stt.local.secantus_server PORT FOLDER`.

SecantusDB's own command can require passwords, but has users only once a client without a password
has made them. So this program writes the user into the storage before the server listens. It
removes all other users: while a database asks for no password, other people on the machine may add
some.

SecantusDB is under GPL-2.0, so this program alone imports it, and nothing imports this program
(`pyproject.toml` holds it).
"""

import contextlib
import fcntl
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from stt.local.data_folder import USER, DataFolder
from stt.system.users_lock import stays, take

_AUTH_DATABASE = "admin"
_CACHE_SIZE = "256M"
_MAX_CONNECTIONS = 1_000
# Open files: the storage's own. When none can be opened, its engine breaks down.
_STORAGE_FILES = 500
_USERS_CHECK_SECONDS = 1.0
_GRACE_SECONDS = 10.0
_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def main() -> None:
    port, folder = int(sys.argv[1]), DataFolder(Path(sys.argv[2]))
    # Threads inherit the mask, so the signals are pending until they are waited for below: a
    # handler would run in the main thread alone, which another thread's signal does not wake.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    os.umask(0o077)
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("secantus.server").addFilter(_RareMessages())
    import secantus
    from secantus import server as secantus_server

    from stt.local.secantus_storage import IndexedStorage

    secantus_server.Storage = IndexedStorage
    # Clients read it in `buildInfo`, and ask other questions of this storage.
    secantus.__version__ += "+indexed"
    server = secantus_server.SecantusDBServer(
        port=port,
        storage_path=str(folder.storage),
        require_auth=True,
        enable_test_commands=False,
        cache_size=_CACHE_SIZE,
        max_connections=_connections_for(_raise_file_limit()),
    )
    _set_only_user(server.storage, folder.password_file.read_text("ascii"))
    with folder.lock_server_pid():
        server.start()
        threading.Thread(target=_end_without_users, args=(folder,), daemon=True).start()
        signal.sigwait(_SIGNALS)
        _stop_listening(server)
        server.stop()


def _end_without_users(folder: DataFolder) -> None:
    """End this process once no command uses it, and it need not stay for the next one.

    Meanwhile the gate is held, so that a command that comes waits and then starts another server.
    """
    with folder.open_lock("gate") as gate_file, folder.open_lock("users") as users_file:
        gate, users = gate_file.fileno(), users_file.fileno()
        while stays(users) or not (take(gate) and take(users)) or stays(users):
            fcntl.flock(users, fcntl.LOCK_UN)
            fcntl.flock(gate, fcntl.LOCK_UN)
            time.sleep(_USERS_CHECK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE_SECONDS)
        os._exit(1)


def _stop_listening(server: Any) -> None:
    """Wake the thread that accepts connections; `stop` would wait 2 s for it."""
    with contextlib.suppress(OSError):
        server._socket.shutdown(socket.SHUT_RDWR)


def _set_only_user(storage: Any, password: str) -> None:
    """Store the user with this password, and remove every other user."""
    from secantus.auth import derive_credentials

    while users := storage.list_users():
        if not all(storage.drop_user(user["db"], user["user"]) for user in users):
            raise RuntimeError("a user of the database cannot be removed")
    record = {
        "_id": f"{_AUTH_DATABASE}.{USER}",
        "user": USER,
        "db": _AUTH_DATABASE,
        "credentials": derive_credentials(password).to_doc(),
        "roles": [{"role": "root", "db": _AUTH_DATABASE}],
        "mechanisms": ["SCRAM-SHA-256"],
    }
    storage.add_user(_AUTH_DATABASE, USER, record)


def _raise_file_limit() -> int:
    """Let this process open as many files as it needs, or as it may; return the number."""
    needed = _MAX_CONNECTIONS + _STORAGE_FILES
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = (needed if limit == resource.RLIM_INFINITY else limit for limit in limits)
    files = max(soft, min(needed, hard))
    if files > soft:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, limits[1]))
        except (OSError, ValueError):  # macOS has a limit of its own below the hard one
            return soft
    return files


def _connections_for(files: int) -> int:
    """Return how many connections leave the storage its files, where so many may be open."""
    return min(_MAX_CONNECTIONS, files - min(_STORAGE_FILES, files // 2))


class _RareMessages(logging.Filter):
    """Drops a message within a second of its last one, such as that of refused connections."""

    def __init__(self) -> None:
        super().__init__()
        self._logged_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now - self._logged_at.get(record.msg, -1.0) < 1.0:
            return False
        self._logged_at[record.msg] = now
        return True


if __name__ == "__main__":
    main()
