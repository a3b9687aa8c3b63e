"""Transcript files: names that are safe for every recording; written whole or not at all."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from stt.domain.chunk import Recording
from stt.errors import SttError
from stt.system.files import replacement

_MAX_STEM_BYTES = 200
# Control characters, line ends, what turns the direction of writing, and what Windows forbids.
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff<>:"|?*]')
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


def file_name(recording: Recording, format_name: str) -> str:
    """Return a transcript's file name, without a folder and without unsafe characters."""
    name = re.split(r"[/\\]", recording.filename)[-1]
    name = re.sub(r"\.[A-Za-z0-9]{1,5}$", "", name)
    name = _NOT_IN_NAMES.sub("_", name).strip(" .")
    if not name or _RESERVED.match(name):
        head, dot, tail = name.partition(".")  # Windows reserves NUL.anything
        name = f"{head}_{recording.id}{dot}{tail}".lstrip("_")
    while len(name.encode()) > _MAX_STEM_BYTES:
        name = name[:-1]
    return f"{name}.{format_name}"


def file_names(recordings: Sequence[Recording], format_name: str) -> list[str]:
    """Return a name for each in one folder; those that would share a file get their ids too."""
    plain = [file_name(recording, format_name) for recording in recordings]
    count = Counter(map(_folded, plain))
    taken = set(count)
    names = []
    for recording, name in zip(recordings, plain, strict=True):
        if count[_folded(name)] > 1:
            while _folded(name) in taken:
                name = f"{Path(name).stem}_{recording.id}.{format_name}"
            taken.add(_folded(name))
        names.append(name)
    return names


def _folded(name: str) -> str:
    """Return what is equal for names that a file system may take for one.

    Some ignore case, and whether an accent is written as one character or as two.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def save(pieces: Iterable[str], path: Path) -> None:
    """Write a transcript as a whole file or not at all; raises SttError if it cannot be written."""
    path = Path(os.path.realpath(path))  # a link stays a link
    try:
        if path.exists() and not path.is_file():  # a pipe or a device is written, not replaced
            with path.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
                file.writelines(pieces)
        else:
            write_whole(pieces, path)
    except OSError as error:
        raise SttError(f"Cannot write {path}: {error.strerror or error}") from error


def write_whole(pieces: Iterable[str], path: Path) -> None:
    """Write a whole file or none, and its folder; raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacement(path, mode=0o666) as file:
        file.writelines(pieces)
