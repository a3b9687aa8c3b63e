"""Ingest the recordings of a watched folder once they are at rest."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from stt.errors import DatabaseRefused, RecordingError
from stt.media.folders import find_recordings, is_passed_over
from stt.media.recognition import is_recording
from stt.media.recording_path import RecordingPath
from stt.media.settling import Settling
from stt.store.database import Database, Document, translated
from stt.store.documents import read_count, read_text
from stt.store.ingest import Ingested, ingest
from stt.store.ingest_options import IngestOptions
from stt.store.recordings import MongoRecordings
from stt.system.files import is_planted
from stt.watch.state import FileVersion, KnownFile, WatchState

_READ_BYTES = 1 << 20

logger = logging.getLogger(__name__)


class Intake:
    """The files of one folder that are new or changed, until they are ingested or refused."""

    def __init__(
        self,
        folder: Path,
        state: WatchState,
        database: Database,
        options: IngestOptions,
        settle_seconds: float,
        ingested: Callable[[Path, Ingested], None],
    ) -> None:
        self._folder = folder
        self._state = state
        self._database = database
        self._options = options
        self._settle_seconds = settle_seconds
        self._ingested = ingested
        self._settling: dict[Path, Settling] = {}
        self._no_recordings: dict[Path, FileVersion] = {}

    @property
    def is_settling(self) -> bool:
        """Whether files are waited for that have changed a moment ago."""
        return bool(self._settling)

    def search(self) -> None:
        """Look at all files of the folder, and forget those that are gone.

        Raise OSError if the folder cannot be listed.
        """
        next(self._folder.iterdir(), None)
        found = set()
        for file in find_recordings([self._folder], recognise=self._recognises):
            found.add(file.path)
            self._note(file.path)
        for known in list(self._state.files()):
            if known.path not in found and FileVersion.of(known.path) is None:
                self._state.forget(known.path)
        for path in [path for path in self._no_recordings if FileVersion.of(path) is None]:
            del self._no_recordings[path]

    def look_at(self, paths: Iterable[Path]) -> None:
        """Look at files and folders that have changed."""
        for path in paths:
            if not path.is_relative_to(self._folder) or is_passed_over(path, self._folder):
                continue
            if path.is_dir():
                for file in find_recordings([path], recognise=self._recognises):
                    self._note(file.path)
            elif path.is_file() and self._recognises(path):
                self._note(path)

    def take_one(self) -> bool:
        """Ingest a file that is at rest; return False if there is none."""
        for path, settling in list(self._settling.items()):
            if settling.seconds_left(path) == 0:
                self._take(path)
                return True
        return False

    def _note(self, path: Path) -> None:
        if path not in self._settling and self._is_new(path):
            self._settling[path] = Settling(self._settle_seconds)

    def _is_new(self, path: Path) -> bool:
        """Return whether a file is not known as it is now."""
        version, known = FileVersion.of(path), self._state.file(path)
        if version is None or known is None:
            return version is not None
        if known.recording is None:  # refused: it may be readable now
            return version != known.version
        return not version.has_same_content(known.version)

    def _recognises(self, path: Path) -> bool:
        """Like `is_recording`; look into a file once as long as it does not change."""
        version = FileVersion.of(path)
        if version is not None and self._no_recordings.get(path) == version:
            return False
        if is_recording(path):
            self._no_recordings.pop(path, None)
            return True
        if version is not None:
            self._no_recordings[path] = version
        return False

    def _take(self, path: Path) -> None:
        """Ingest a file, or refuse it; do neither if it changes meanwhile."""
        version = FileVersion.of(path)
        if version is None:
            del self._settling[path]
            return
        before = self._state.file(path)
        place = RecordingPath.below(self._folder, path)
        try:
            if self._is_planted(path):
                raise RecordingError(f"{path}: a link that another user may have made")
            result = ingest(self._database, path, self._options, place=place)
        except (RecordingError, DatabaseRefused, OSError) as error:
            if FileVersion.of(path) == version:
                logger.warning("%s", error)
                self._state.save(KnownFile(path, version, None))
            else:
                logger.debug("%s has changed while it was read", path)
                self._settling[path] = Settling(self._settle_seconds)
                return
        else:
            self._remove_beginnings(path, version.size, place)
            stem = before.stem if before else None
            self._state.save(KnownFile(path, version, result.recording.id, stem))
            self._ingested(path, result)
        del self._settling[path]

    def _is_planted(self, path: Path) -> bool:
        """Return whether a link leads to the file by which another user may name any file here."""
        below = (one for one in (path, *path.parents) if one.is_relative_to(self._folder))
        return any(is_planted(one) for one in below if one != self._folder)

    def _remove_beginnings(self, path: Path, size: int, place: RecordingPath) -> None:
        """Remove the recordings of a file that was ingested before it was whole."""
        query = {
            "filename": place.filename,
            "path": place.path,
            "folder": place.folder,
            "bytes": {"$gt": 0, "$lt": size},
        }
        with translated():
            found = list(self._database.recordings.find(query, ["sha256", "bytes"]))
        for document in beginnings_of(path, found):
            if not self._state.has_other_file_of(document["_id"], path):
                MongoRecordings(self._database).remove(document["_id"])
                message = "%s has grown since it was ingested: its beginning is removed"
                logger.info(message, path)


def beginnings_of(path: Path, documents: Iterable[Document]) -> Iterator[Document]:
    """Yield the recordings, of a size and a hash, that a file begins with. Read it once."""
    digest, position = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            for document in sorted(documents, key=lambda found: read_count(found["bytes"])):
                end = read_count(document["bytes"])
                while position < end and (data := file.read(min(end - position, _READ_BYTES))):
                    digest.update(data)
                    position += len(data)
                if digest.hexdigest() == read_text(document.get("sha256")):
                    yield document
    except OSError as error:
        logger.debug("%s cannot be compared: %s", path, error)
