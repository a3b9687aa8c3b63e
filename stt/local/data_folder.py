"""The folder of an embedded database: its lock files, its log, its port, and its password."""

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from stt.errors import ConfigError
from stt.system.files import replacement

USER = "stt"
"""The embedded database's only user, who may do everything."""

_MIN_FREE_BYTES = 16_000_000  # the journal takes ten million at once


class DataFolder:
    """The files of one embedded database.

    Methods raise ConfigError if the folder cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.storage = self.path / "database"
        self.log = self.path / "database.log"
        self.password_file = self.path / "database.password"
        self._pid_file = self.path / "database.pid"
        self._port_file = self.path / "database.port"

    def make_private(self) -> None:
        """Make the folder if it is missing, and let no other user into it."""
        with self.using():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = self.path.stat().st_mode
            if mode & stat.S_ISVTX and mode & 0o022:
                raise ConfigError(
                    f"The data folder {self.path} is one that all users share."
                    " Set STT_DATA_DIR to a folder of your own."
                )
            if mode & 0o077:
                self.path.chmod(0o700)

    def open_lock(self, name: str) -> IO[bytes]:
        with self.using():
            return (self.path / f"database.{name}").open("ab")

    def set_port(self, port: int) -> None:
        with self.using():
            self._port_file.write_text(str(port))

    def port(self) -> int | None:
        """Return the port of the server that was started last, None if there is none."""
        try:
            return int(self._port_file.read_text())
        except (OSError, ValueError):
            return None

    def lock_server_pid(self) -> IO[bytes]:
        """Record the id of this process, the server, for as long as the file is open."""
        file = self.open_lock("pid")
        fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        file.flush()
        return file

    def server_pid(self) -> int | None:
        """Return the process id of the server that runs, None if none has recorded its own."""
        with self.open_lock("pid") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                with contextlib.suppress(ValueError):  # the server is about to write it
                    return int(self._pid_file.read_text())
        return None

    def make_password(self) -> None:
        """Replace the password by a new one, which the next server takes."""
        with self.using(), replacement(self.password_file) as file:
            file.write(secrets.token_urlsafe(32))

    def url(self, port: int) -> str | None:
        """Return the URL of the server at the port, None if the password cannot be read."""
        try:
            password = self.password_file.read_text("ascii")
        except (OSError, ValueError):
            return None
        if not re.fullmatch(r"[\w-]+", password):
            return None
        return (
            f"mongodb://{USER}:{password}@127.0.0.1:{port}/"
            "?directConnection=true&authSource=admin&authMechanism=SCRAM-SHA-256"
        )

    def is_full(self) -> bool:
        """Return whether the disk has no room for the database's journal."""
        try:
            return shutil.disk_usage(self.path).free < _MIN_FREE_BYTES
        except OSError:  # the folder is gone
            return False

    @contextlib.contextmanager
    def using(self) -> Iterator[None]:
        """Raise ConfigError in place of OSError."""
        try:
            yield
        except OSError as error:
            raise ConfigError(
                f"The data folder {self.path} cannot be used: {error.strerror or error}."
                " Set STT_DATA_DIR to another one."
            ) from error
