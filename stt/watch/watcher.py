"""Watch a folder: ingest what is new in it, and write transcripts when they are there.

Changes that the system reports are looked at once; a search of the whole folder now and then finds
the rest, and what happened while no watch ran. All that it does can be done twice, so it may be
killed at any moment.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bson import ObjectId

from stt.errors import NotFound, SttError
from stt.store.database import Database, translated
from stt.store.documents import read_count, read_hashable, read_text
from stt.store.ingest import Ingested
from stt.store.ingest_options import IngestOptions
from stt.store.states import UNFINISHED
from stt.watch.changes import Changes
from stt.watch.intake import Intake
from stt.watch.state import FileVersion, KnownFile, WatchState
from stt.watch.texts import TextOutput, Texts, sha256_of

_LOOK_SECONDS = 1.0
_REST = 19.0  # so many times as long as a query or a search took, it is not done again
_RETRY_SECONDS = 60.0  # until a file that cannot be written is tried again
_LOOK_BACK = timedelta(minutes=10)  # longer than a transcript needs from its time to the disk
_SHORT_LOOK_BACK = timedelta(seconds=10)  # longer than a write needs to be seen
_LAST_LOOK = "last_look"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What is done with the recordings of a folder.

    `search_seconds`: time between two searches of the whole folder; longer if it takes long.
    """

    ingest: IngestOptions = field(default_factory=IngestOptions)
    output: TextOutput = field(default_factory=TextOutput)
    settle_seconds: float = 5.0
    search_seconds: float = 30.0


class FolderWatcher(AbstractContextManager["FolderWatcher"]):
    """Watches one folder; use it in `with`. Every method raises DatabaseUnavailable."""

    def __init__(
        self,
        folder: Path,
        state: WatchState,
        database: Database,
        options: WatchOptions,
        ingested: Callable[[Path, Ingested], None],
        wake: Callable[[], object],
    ) -> None:
        self._folder = folder
        self._state = state
        self._database = database
        self._options = options
        self._wake = wake
        self._intake = Intake(
            folder, state, database, options.ingest, options.settle_seconds, ingested
        )
        self._texts = Texts(folder, state, database, options.output)
        self._changes: Changes | None = None
        self._identity: tuple[int, int] | None = None
        self._search_at = self._look_at = 0.0
        self._to_write: deque[KnownFile] = deque()
        self._retry_at: dict[Path, float] = {}
        self._looked_at: datetime | None = None
        self._seen: set[tuple[object, object]] = set()
        self._compared: set[ObjectId] = set()
        self._is_missing = False
        self._compare_database()

    def __exit__(self, *_: object) -> None:
        if self._changes is not None:
            self._changes.__exit__()

    def step(self) -> float:
        """Ingest a file, and write the transcripts of one; return the seconds to the next step."""
        self._follow_folder()
        self._look_for_files()
        if not self._to_write and time.monotonic() >= self._look_at:
            self._find_done()
        if self._to_write:
            self._write_text(self._to_write.popleft())
        has_taken = self._intake.take_one()
        return 0.0 if has_taken or self._to_write else _LOOK_SECONDS

    def _follow_folder(self) -> None:
        """Let the system report the folder's changes, anew if it was made or mounted anew."""
        try:
            status = self._folder.stat()
        except OSError as error:
            if not self._is_missing:
                logger.warning("%s cannot be watched until it is back: %s",
                               self._folder, error.strerror)  # fmt: skip
            self._is_missing, identity = True, None
        else:
            if self._is_missing:
                logger.info("%s is back", self._folder)
            self._is_missing, identity = False, (status.st_dev, status.st_ino)
        if identity == self._identity:
            return
        if self._changes is not None:
            self._changes.__exit__()
            self._changes = None
        self._identity = identity
        if identity is not None:
            self._changes = Changes(self._folder, self._wake)
            self._changes.__enter__()
            self._search_at = 0.0

    def _look_for_files(self) -> None:
        """Look at what has changed, and at everything if it is time."""
        started = time.monotonic()
        is_due = started >= self._search_at
        try:
            if self._changes is not None and (paths := self._changes.take()):
                self._intake.look_at(paths)
            if is_due and self._identity is not None:
                self._intake.search()
        except OSError as error:
            logger.warning("%s cannot be searched: %s", self._folder, error.strerror)
        if is_due:
            now = time.monotonic()
            self._search_at = now + max(self._options.search_seconds, _REST * (now - started))

    def _find_done(self) -> None:
        """Find the recordings whose transcripts can be written, also those that were done again."""
        started = time.monotonic()
        looked_at = self._database.server_time()
        with translated():
            found = self._database.chunks.distinct("original_id", UNFINISHED)
        unfinished = set(map(read_hashable, found))  # another program may write anything
        changed = unfinished | self._transcribed_since(self._looked_at)
        self._follow_content(changed)
        for recording in changed:
            self._state.write_again(recording)
        self._looked_at = looked_at - _SHORT_LOOK_BACK
        self._to_write.extend(
            file
            for file in self._state.waiting()
            if file.recording not in unfinished and self._retry_at.get(file.path, 0.0) <= started
        )
        if not self._to_write:
            self._state.save_fact(_LAST_LOOK, looked_at.isoformat())
        now = time.monotonic()
        self._look_at = now + max(_LOOK_SECONDS, _REST * (now - started))

    def _follow_content(self, recordings: set[Any]) -> None:
        """Let files follow to a recording of the same content, as one that is cut anew is."""
        new = {
            one
            for one in recordings - self._compared
            if isinstance(one, ObjectId) and not self._state.has_file_of(one)
        }
        self._compared |= new
        with translated():
            found = list(
                self._database.recordings.find({"_id": {"$in": [*new]}}, ["sha256", "bytes"])
            )
        for document in found:
            sha256 = read_text(document.get("sha256"))
            for file in self._state.files_of_size(read_count(document.get("bytes"))):
                version = FileVersion.of(file.path)
                is_unchanged = version is not None and version.has_same_content(file.version)
                if sha256 and is_unchanged and sha256_of(file.path) == sha256:
                    self._state.save(replace(file, recording=document["_id"], is_written=False))

    def _write_text(self, file: KnownFile) -> None:
        version = FileVersion.of(file.path)
        if version is None:  # removed, or moved: found under its new name
            self._state.forget(file.path)
            return
        if not version.has_same_content(file.version):
            self._intake.look_at([file.path])
            return
        try:
            self._texts.write(file)
            self._retry_at.pop(file.path, None)
        except NotFound:  # it was removed, and the file is left alone until it changes
            self._state.save(replace(file, is_written=True))
        except (SttError, OSError) as error:
            if isinstance(error, SttError) and error.exit_code != SttError.exit_code:
                raise
            logger.warning("%s", error)
            self._retry_at[file.path] = time.monotonic() + _RETRY_SECONDS

    def _compare_database(self) -> None:
        """Forget all files if the database is another; read when the last one looked at it."""
        ids = {file.recording for file in self._state.files() if file.recording is not None}
        with translated():
            if ids and self._database.recordings.find_one({"_id": {"$in": [*ids]}}) is None:
                self._state.forget_all()
        last = self._state.fact(_LAST_LOOK)
        self._looked_at = datetime.fromisoformat(last) - _LOOK_BACK if last else None

    def _transcribed_since(self, time: datetime | None) -> set[Any]:
        """Return the recordings with chunks that were transcribed since a time, each chunk once."""
        if time is None:
            return set()
        with translated():
            fields = ["original_id", "transcribed_at"]
            found = list(self._database.chunks.find({"transcribed_at": {"$gte": time}}, fields))
        before, self._seen = self._seen, {(one["_id"], one["transcribed_at"]) for one in found}
        return {
            read_hashable(one.get("original_id"))
            for one in found
            if (one["_id"], one["transcribed_at"]) not in before
        }


def watch_folders(
    folders: dict[Path, WatchState],
    database: Database,
    options: WatchOptions,
    ingested: Callable[[Path, Ingested], None],
    stop: threading.Event,
    check: Callable[[], object] = lambda: None,
) -> None:
    """Watch folders until `stop` is set. Raise DatabaseUnavailable, and what `check` raises."""
    wake = threading.Event()
    with ExitStack() as closing:
        watchers = [
            closing.enter_context(
                FolderWatcher(folder, state, database, options, ingested, wake.set)
            )
            for folder, state in folders.items()
        ]
        while not stop.is_set():
            check()
            wake.clear()
            seconds = min(watcher.step() for watcher in watchers)
            if seconds and not stop.is_set():
                wake.wait(seconds)
