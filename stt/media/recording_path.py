"""What a recording is called, and where it lay."""

import os
from dataclasses import dataclass
from pathlib import Path

from stt.media.recording import shown_name


@dataclass(frozen=True, slots=True)
class RecordingPath:
    """A recording's path, relative to the folder that was given, and that folder's own name.

    `path` is a file's name alone if the file was given itself. Its separator is `/`. Both texts can
    be shown and stored, and are in Unicode's form NFC. `folder` is None where it is unknown.
    """

    path: str
    folder: str | None = None

    @property
    def filename(self) -> str:
        """The last part of the path; all of a name that is no path."""
        return self.path.rpartition("/")[2] if _is_path(self.path) else self.path

    @classmethod
    def of_file(cls, path: Path) -> "RecordingPath":
        """Return that of a file that was given itself."""
        return cls.below(path.parent, path)

    @classmethod
    def below(cls, folder: Path, path: Path) -> "RecordingPath":
        """Return that of a file inside a folder that was given."""
        parts = map(shown_file_name, path.relative_to(folder).parts)
        # Unlike Path.resolve(), abspath() keeps the name of a link.
        name = Path(os.path.abspath(folder)).name  # noqa: PTH100
        return cls("/".join(parts), shown_file_name(name) if name else None)

    @classmethod
    def sent(cls, name: str) -> "RecordingPath":
        """Return that of an upload: a name, or a path that begins with the name of a folder.

        Browsers send such a path for each file of a folder (`webkitRelativePath`). A path that
        leads elsewhere is a name.
        """
        if not _is_path(name):
            return cls(shown_name(name))
        folder, *rest = map(shown_name, name.split("/"))
        return cls("/".join(rest), folder)


def _is_path(name: str) -> bool:
    parts = [part.strip() for part in name.split("/")]
    return len(parts) > 1 and {"", ".", ".."}.isdisjoint(parts)


def shown_file_name(name: str) -> str:
    """Return a name from the file system, which need not be UTF-8, as it is stored and printed."""
    return shown_name(os.fsencode(name).decode("utf-8", "replace"))
