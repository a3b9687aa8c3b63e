"""What is known of the files of a watched folder, kept through restarts in a SQLite file.

It saves the reading of files that are known, and tells transcripts that were written here from
other files. Without it, all files are read again, and no file is overwritten.
"""

import contextlib
import hashlib
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bson import ObjectId

from stt.errors import ConfigError, SttError

_TABLES = """
CREATE TABLE IF NOT EXISTS files (
    path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER,
    recording TEXT, stem BLOB, is_written INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS texts (
    path BLOB PRIMARY KEY, source BLOB NOT NULL, recording TEXT NOT NULL,
    sha256 TEXT NOT NULL, earlier_sha256 TEXT
);
CREATE INDEX IF NOT EXISTS files_by_recording ON files (recording);
CREATE INDEX IF NOT EXISTS texts_by_recording ON texts (recording);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT);
"""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FileVersion:
    """What changes when a file is written; `ctime_ns` also when its permissions change."""

    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, path: Path) -> "FileVersion | None":
        """Return the version of a file, None if it is gone."""
        try:
            status = path.stat()
        except OSError:
            return None
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def has_same_content(self, other: "FileVersion") -> bool:
        return (self.size, self.mtime_ns) == (other.size, other.mtime_ns)


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file that was read; `recording` None: it was refused.

    `stem`: the path of its transcripts without the extension, None if none was written.
    """

    path: Path
    version: FileVersion
    recording: ObjectId | None
    stem: Path | None = None
    is_written: bool = False


@dataclass(frozen=True, slots=True)
class WrittenText:
    """A transcript file that was written for `source`, or was about to be.

    It has one of these sums unless another program has changed it since.
    """

    path: Path
    source: Path
    recording: ObjectId
    sha256: str
    earlier_sha256: str | None = None


class WatchState(AbstractContextManager["WatchState"]):
    """The state of one folder. Every change is on the disk when the method returns."""

    def __init__(self, states: Path, folder: Path) -> None:
        """Open the state of `folder` in the folder `states`, and lock it until `close`.

        Raise ConfigError if another process has it open, SttError if it cannot be used.
        """
        name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
        self._folder = folder
        self._path = states / f"{name}.sqlite3"
        with self._errors():
            states.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                self._db = self._open()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                logger.warning("%s is damaged, and all files are read again", self._path)
                self._path.replace(self._path.with_suffix(".damaged"))
                self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=0.5, isolation_level=None)
        try:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute("BEGIN IMMEDIATE")
            for statement in _TABLES.split(";"):
                db.execute(statement)
            db.execute("COMMIT")
        except BaseException:
            db.close()
            raise
        return db

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def files(self) -> Iterator[KnownFile]:
        """Yield all files."""
        return map(_known_file, self._rows("SELECT * FROM files"))

    def waiting(self) -> list[KnownFile]:
        """Return the files whose transcripts are not written."""
        query = "SELECT * FROM files WHERE recording IS NOT NULL AND NOT is_written ORDER BY path"
        return [*map(_known_file, self._rows(query))]

    def file(self, path: Path) -> KnownFile | None:
        for row in self._rows("SELECT * FROM files WHERE path = ?", os.fsencode(path)):
            return _known_file(row)
        return None

    def files_of_size(self, size: int) -> list[KnownFile]:
        return [*map(_known_file, self._rows("SELECT * FROM files WHERE size = ?", size))]

    def has_file_of(self, recording: ObjectId) -> bool:
        query = "SELECT 1 FROM files WHERE recording = ? LIMIT 1"
        return bool(self._rows(query, str(recording)))

    def has_other_file_of(self, recording: ObjectId, path: Path) -> bool:
        """Return whether another file than `path` has this recording."""
        query = "SELECT 1 FROM files WHERE recording = ? AND path <> ? LIMIT 1"
        return bool(self._rows(query, str(recording), os.fsencode(path)))

    def save(self, file: KnownFile) -> None:
        version, recording = file.version, file.recording
        self._change(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)",
            os.fsencode(file.path), version.size, version.mtime_ns, version.ctime_ns,
            None if recording is None else str(recording),
            None if file.stem is None else os.fsencode(file.stem), file.is_written,
        )  # fmt: skip

    def forget(self, path: Path) -> None:
        """Remove a file; what was written for it stays known."""
        self._change("DELETE FROM files WHERE path = ?", os.fsencode(path))

    def forget_all(self) -> None:
        """Remove all files, as for another database."""
        self._change("DELETE FROM files")

    def write_again(self, recording: ObjectId) -> None:
        """Let the transcripts of a recording be compared with it again."""
        query = "UPDATE files SET is_written = 0 WHERE recording = ? AND is_written"
        self._change(query, str(recording))

    def text(self, path: Path) -> WrittenText | None:
        for row in self._rows("SELECT * FROM texts WHERE path = ?", os.fsencode(path)):
            return _written_text(row)
        return None

    def texts_of(self, recording: ObjectId) -> list[WrittenText]:
        query = "SELECT * FROM texts WHERE recording = ?"
        return [*map(_written_text, self._rows(query, str(recording)))]

    def save_text(self, text: WrittenText) -> None:
        """Note what is about to be written, so that it is known even if this process ends then."""
        self._change(
            "INSERT OR REPLACE INTO texts VALUES (?, ?, ?, ?, ?)",
            os.fsencode(text.path), os.fsencode(text.source), str(text.recording),
            text.sha256, text.earlier_sha256,
        )  # fmt: skip

    def forget_text(self, path: Path) -> None:
        self._change("DELETE FROM texts WHERE path = ?", os.fsencode(path))

    def fact(self, name: str) -> str | None:
        for row in self._rows("SELECT value FROM facts WHERE name = ?", name):
            return str(row[0])
        return None

    def save_fact(self, name: str, value: str) -> None:
        self._change("INSERT OR REPLACE INTO facts VALUES (?, ?)", name, value)

    def _rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        with self._errors():
            return self._db.execute(query, values).fetchall()

    def _change(self, statement: str, *values: object) -> None:
        with self._errors():
            self._db.execute(statement, values)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if "locked" in str(error):
                raise ConfigError(
                    f"{self._folder} is watched already by another `stt ingest --watch` of this"
                    " machine: end that one first."
                ) from error
            raise SttError(f"{self._path} cannot be used: {error}") from error
        except OSError as error:
            raise SttError(f"{self._path} cannot be used: {error.strerror}") from error


def _known_file(row: tuple[object, ...]) -> KnownFile:
    path, size, mtime_ns, ctime_ns, recording, stem, is_written = row
    version = FileVersion(int(str(size)), int(str(mtime_ns)), int(str(ctime_ns)))
    id_ = None if recording is None else ObjectId(str(recording))
    return KnownFile(_path(path), version, id_, None if stem is None else _path(stem),
                     bool(is_written))  # fmt: skip


def _written_text(row: tuple[object, ...]) -> WrittenText:
    path, source, recording, sha256, earlier = row
    return WrittenText(
        _path(path), _path(source), ObjectId(str(recording)), str(sha256),
        None if earlier is None else str(earlier),
    )  # fmt: skip


def _path(value: object) -> Path:
    assert isinstance(value, bytes)
    return Path(os.fsdecode(value))
