"""Find the recordings among the files and folders that a person names."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stt.media.recording import is_recording
from stt.media.recording_path import RecordingPath


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to be read; `is_named`: it was named itself, not found in a folder."""

    path: Path
    place: RecordingPath
    is_named: bool


def find_recordings(paths: Iterable[Path]) -> Iterator[FoundFile]:
    """Yield files as they are named, and all recordings inside folders, in the order of names.

    Hidden files and folders are passed over unless they are named. A path that is not there, or a
    folder that cannot be listed, is passed on: `RecordingFile` says what is wrong with it.
    """
    for path in paths:
        if path.is_dir():
            for found in _recordings_in(path):
                yield FoundFile(found, RecordingPath.below(path, found), is_named=False)
        else:
            yield FoundFile(path, RecordingPath.of_file(path), is_named=True)


def _recordings_in(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        yield folder
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if not entry.is_symlink():  # it may lead round in a circle
                yield from _recordings_in(entry)
        elif is_recording(entry):
            yield entry
