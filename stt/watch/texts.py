"""Write the transcripts of a watched folder's recordings, and overwrite no other files."""

import contextlib
import hashlib
import logging
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from stt.domain.chunk import Recording
from stt.media.recording_path import RecordingPath
from stt.store.database import Database
from stt.store.export import Export
from stt.store.recordings import MongoRecordings
from stt.transcripts.files import file_stems, save, without_extension
from stt.watch.state import KnownFile, WatchState, WrittenText

_MAX_STEM_BYTES = 249  # most file systems take names of 255 bytes

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TextOutput:
    """Which files of a transcript are written, and where.

    `folder` None: next to each recording; else below it, as the recording lies in the folder that
    is watched. No `formats`: none are written.
    """

    formats: tuple[str, ...] = ("txt",)
    folder: Path | None = None


class Texts:
    """The transcripts of one folder."""

    def __init__(
        self, folder: Path, state: WatchState, database: Database, output: TextOutput
    ) -> None:
        self._folder = folder
        self._state = state
        self._database = database
        self._output = output

    def write(self, file: KnownFile) -> bool:
        """Write the transcripts of a file; return False if it is not cut to its end.

        A file that is as it should be is not written. One that another program wrote or changed
        stays: the transcript gets a longer name. Transcripts of the same recording under a name
        that it no longer has are removed. Raise NotFound if the recording was removed, SttError if
        a file cannot be written.
        """
        assert file.recording is not None
        recording = MongoRecordings(self._database).get(file.recording)
        place = RecordingPath.below(self._folder, file.path)
        recording = replace(
            recording, filename=place.filename, path=place.path, folder=place.folder
        )
        export = Export(self._database, recording)
        if export.header.is_growing:
            return False
        if export.header.is_partial:
            logger.warning("%s: %s", file.path, export.header.partial_notice)
        texts = {name: "".join(export.pieces(name)) for name in self._output.formats}
        stem = self._free_stem(file, recording, texts)
        written = [self._write(file, path, text) for path, text in _paths(stem, texts).items()]
        self._state.save(replace(file, stem=stem, is_written=True))
        if any(written):
            names = ", ".join(str(path) for path in _paths(stem, texts))
            logger.info("%s: wrote %s", file.path, names)
        self._remove_moved(file, texts)
        return True

    def _write(self, file: KnownFile, path: Path, text: str) -> bool:
        """Write a transcript unless it is there; return whether it was written."""
        assert file.recording is not None
        known, sha256 = self._state.text(path), _sha256(text)
        earlier = known.sha256 if known else None
        self._state.save_text(WrittenText(path, file.path, file.recording, sha256, earlier))
        if sha256_of(path) == sha256:
            return False
        save([text], path, self._output.folder or path.parent)
        return True

    def _free_stem(self, file: KnownFile, recording: Recording, texts: Mapping[str, str]) -> Path:
        """Return the first path whose transcripts are this file's already, or not there."""
        for stem in self._stems(file, recording):
            found = _paths(stem, texts).items()
            if all(self._is_free(file, path, text) for path, text in found):
                return stem
        raise AssertionError("the stems never end")

    def _stems(self, file: KnownFile, recording: Recording) -> Iterator[Path]:
        if file.stem is not None:
            yield file.stem
        if (folder := self._output.folder) is None:
            path = file.path.with_name(_cut(without_extension(file.path.name)))
        else:
            path = folder / file_stems([recording])[0]
        yield path
        name, end = file.path.name, ""
        while True:
            yield path.with_name(_cut(name, end))
            end += f"_{recording.id}"

    def _is_free(self, file: KnownFile, path: Path, text: str) -> bool:
        known, there = self._state.text(path), sha256_of(path)
        if known is not None and known.source != file.path and known.source.exists():
            return False
        if there is None:
            return not path.exists()  # a folder, or a file that cannot be read
        is_ours = known is not None and known.source == file.path
        sums = {known.sha256, known.earlier_sha256} if known and is_ours else set[str | None]()
        return there in {*sums, _sha256(text)}

    def _remove_moved(self, file: KnownFile, formats: Collection[str]) -> None:
        """Remove transcripts in these formats of the file's earlier name, if they are unchanged."""
        assert file.recording is not None
        for text in self._state.texts_of(file.recording):
            is_known = text.source == file.path or text.source.exists()
            if is_known or text.path.suffix.removeprefix(".") not in formats:
                continue
            if sha256_of(text.path) == text.sha256:
                with contextlib.suppress(OSError):
                    text.path.unlink()
                    logger.info("Removed %s: its recording is %s now", text.path, file.path)
            self._state.forget_text(text.path)


def _paths(stem: Path, texts: Mapping[str, str]) -> dict[Path, str]:
    """Return the texts by the paths of their files."""
    return {Path(f"{stem}.{name}"): text for name, text in texts.items()}


def _cut(name: str, end: str = "") -> str:
    """Return a name with `end` behind it that leaves room for an extension."""
    while name and len(os.fsencode(name + end)) > _MAX_STEM_BYTES:
        name = name[:-1]
    return name + end


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", errors="replace")).hexdigest()


def sha256_of(path: Path) -> str | None:
    """Return the hash of a file, None if there is none that can be read."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
