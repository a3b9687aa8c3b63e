"""Find the recordings among the files and folders that a person names."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from stt.media.recognition import is_recording
from stt.media.recording_path import RecordingPath

_EXPECTED = frozenset(
    {
        *(".txt", ".srt", ".vtt", ".json", ".tsv"),
        *(".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".svg"),
        *(".m3u", ".m3u8", ".pls", ".xspf", ".cue", ".nfo"),
    }
)
"""What usually lies beside recordings: transcripts, pictures and playlists."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to be read; `is_named`: it was named itself, not found in a folder."""

    path: Path
    place: RecordingPath
    is_named: bool


@dataclass(frozen=True, slots=True)
class PassedOver:
    """What was not read.

    `unexpected`: files in folders that are no recordings; `expected`: hidden ones, and those of
    kinds that usually lie beside recordings; `loops`: links to folders that are searched anyway;
    `growing`: recordings that are still being written.
    """

    unexpected: list[Path] = field(default_factory=list)
    expected: list[Path] = field(default_factory=list)
    loops: list[Path] = field(default_factory=list)
    growing: list[Path] = field(default_factory=list)


def find_recordings(
    paths: Iterable[Path],
    passed_over: PassedOver | None = None,
    recognise: Callable[[Path], bool] = is_recording,
) -> Iterator[FoundFile]:
    """Yield files as they are named, and all recordings inside folders, in the order of names.

    Hidden files and folders are passed over unless they are named. Each folder is searched once,
    whatever links lead to it. A path that is not there, or a folder that cannot be listed, is
    passed on: `RecordingFile` says what is wrong with it. `recognise`: whether a file in a folder
    is a recording.
    """
    passed_over = passed_over or PassedOver()
    for path in paths:
        if path.is_dir():
            for found in _Search(passed_over, recognise).recordings_in(path):
                yield FoundFile(found, RecordingPath.below(path, found), is_named=False)
        else:
            yield FoundFile(path, RecordingPath.of_file(path), is_named=True)


def is_passed_over(path: Path, folder: Path) -> bool:
    """Return whether a file below a folder that is searched is not looked into.

    That is: hidden, in a hidden folder, or of a kind that usually lies beside recordings.
    """
    is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return is_hidden or path.suffix.lower() in _EXPECTED


class _Search:
    """The search of one folder that was named."""

    def __init__(self, passed_over: PassedOver, recognise: Callable[[Path], bool]) -> None:
        self._passed_over = passed_over
        self._recognise = recognise
        self._searched: set[tuple[int, int]] = set()

    def recordings_in(self, folder: Path) -> Iterator[Path]:
        try:
            status = folder.stat()
            entries = sorted(folder.iterdir())
        except OSError:
            yield folder
            return
        if (identity := (status.st_dev, status.st_ino)) in self._searched:
            self._passed_over.loops.append(folder)
            return
        self._searched.add(identity)
        links = []
        for entry in entries:
            is_hidden = entry.name.startswith(".")
            if entry.is_dir():
                if entry.is_symlink() and not is_hidden:
                    links.append(
                        entry
                    )  # a folder that lies here too is searched under its own name
                elif not is_hidden:
                    yield from self.recordings_in(entry)
            elif is_hidden or entry.suffix.lower() in _EXPECTED:
                self._passed_over.expected.append(entry)
            elif self._recognise(entry):
                yield entry
            else:
                self._passed_over.unexpected.append(entry)
        for link in links:
            yield from self.recordings_in(link)
