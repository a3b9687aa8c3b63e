"""The folder that uploads lie in until they are cut: locked files under their uploads' ids."""

import errno
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from bson import ObjectId

from stt.coordinator.errors import OutOfSpace
from stt.errors import ConfigError
from stt.system.files import is_planted

_ID_FILE = ".id"
_WEEK_SECONDS = 7 * 86_400
_LOCK_SECONDS = 1.0
RESERVE_BYTES = 256 * 1024 * 1024
"""Kept free on the spool's disk: the database may be on it too, and a full one breaks that."""
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class SpoolFile:
    """A file of the spool, with a lock on it that lasts until it is closed or removed."""

    def __init__(self, upload_id: ObjectId, path: Path, file: BinaryIO | None) -> None:
        self.id = upload_id
        self.path = path
        self._file = file

    @property
    def exists(self) -> bool:
        return self._file is not None

    @property
    def size(self) -> int:
        """Bytes, without those that are not flushed; 0 for a file that is missing."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last write, by this machine's clock; 0 for a file that is missing."""
        try:
            return time.time() - self.path.stat().st_mtime
        except FileNotFoundError:
            return 0.0

    @property
    def is_forgotten(self) -> bool:
        """True if it was not written to for a week."""
        return self.idle_seconds > _WEEK_SECONDS

    def write(self, data: bytes | bytearray) -> None:
        assert self._file is not None
        self._file.write(data)

    def flush(self) -> None:
        """Return once the file would survive a power cut."""
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """End the lock. What is not flushed may be lost without an error."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()


class Spool:
    """Makes and finds files in the folder. Safe between threads and processes.

    Raises ConfigError if the folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if is_planted(folder):
                raise ConfigError(
                    f"{folder} is a link that another user may have made: uploads do not go there."
                    " Set STT_DATA_DIR to a folder of your own."
                )
            folder.chmod(0o700)
            self.id = _read_id(folder)
            """Differs from the ids of other machines' folders."""
        except OSError as error:
            reason = error.strerror or error
            raise ConfigError(f"Uploads cannot be stored in {folder}: {reason}") from error

    def check_room(self, expected_bytes: int) -> None:
        """Raise OutOfSpace if the disk has no room for so much."""
        if self.free_bytes() < expected_bytes + RESERVE_BYTES:
            raise OutOfSpace(
                "The coordinator's disk is nearly full: make room, then send it again."
            )

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.folder).free

    def ids(self) -> set[ObjectId]:
        names = {entry.name for entry in self.folder.iterdir()}
        return {ObjectId(name) for name in names if ObjectId.is_valid(name)}

    def create(self) -> SpoolFile:
        """Return a new file, locked, for a new upload."""
        while True:
            upload_id = ObjectId()
            path = self._path(upload_id)
            file = os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                return SpoolFile(upload_id, path, file)
            file.close()  # another process removed it as a stray before it was locked

    def append(self, upload_id: ObjectId) -> SpoolFile | None:
        """Lock a file to write behind its end; None if another request or process holds it.

        Raises FileNotFoundError.
        """
        path = self._path(upload_id)
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            file = os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND), "ab")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                if time.monotonic() > deadline:
                    return None
                time.sleep(0.05)  # a processor looks at it for a moment
                continue
            if os.fstat(file.fileno()).st_nlink:
                return SpoolFile(upload_id, path, file)
            file.close()
            raise FileNotFoundError(path)

    def received_bytes(self, upload_id: ObjectId) -> int:
        """Return how much of a file is there. Raises FileNotFoundError."""
        return self._path(upload_id).stat().st_size

    @contextmanager
    def hold(self, upload_id: ObjectId) -> Iterator[SpoolFile | None]:
        """Lock a file, which may be missing; None if another process holds it."""
        path = self._path(upload_id)
        try:
            file = path.open("rb")
        except FileNotFoundError:
            yield SpoolFile(upload_id, path, None)
            return
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held = None
            else:
                held = SpoolFile(upload_id, path, file)
            yield held

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn errors of the disk into OutOfSpace."""
        try:
            yield
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise OutOfSpace("The coordinator's disk is full: make room.") from error
            reason = error.strerror or error
            raise OutOfSpace(f"The coordinator cannot store the upload: {reason}.") from error

    def _path(self, upload_id: ObjectId) -> Path:
        return self.folder / str(upload_id)


def _read_id(folder: Path) -> str:
    """Return the folder's id; the first process makes it, and of two at once one wins."""
    path = folder / _ID_FILE
    with suppress(FileNotFoundError):
        return path.read_text().strip()
    draft = folder / f"{_ID_FILE}-{secrets.token_hex(4)}"
    draft.write_text(secrets.token_hex(12))
    try:
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    return path.read_text().strip()
