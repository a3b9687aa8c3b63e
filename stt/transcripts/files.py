"""Transcripts as files: safe names, whatever the database says, and written whole or not at all."""

import contextlib
import os
import re
import secrets
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from stt.domain.chunk import Recording
from stt.errors import SttError

_MAX_STEM_BYTES = 200
# Control characters, line ends, what turns the direction of writing, and what Windows forbids.
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff<>:"|?*]')
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


def file_name(recording: Recording, format_name: str) -> str:
    """A name for the transcript that is one file in one folder, whatever the database says."""
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
    """A name for each in one folder; of several that would share a file, all get their ids too."""
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
    """Equal for names that a file system may take for one: some tell neither case nor accents
    written as one character or as two apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def save(pieces: Iterable[str], path: Path) -> None:
    """Writes a whole file or none: what was there before is replaced at the last moment.

    Raises SttError if the file cannot be written.
    """
    path = Path(os.path.realpath(path))  # a link stays a link
    try:
        if path.exists() and not path.is_file():  # a pipe or a device is written, not replaced
            _write(pieces, path)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        # Processes of two machines may have one id.
        unfinished = path.with_name(f".stt-{os.getpid()}-{secrets.token_hex(4)}.part")
        try:
            _write(pieces, unfinished)
            unfinished.replace(path)
        finally:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise SttError(f"Cannot write {path}: {error.strerror or error}") from error


def _write(pieces: Iterable[str], path: Path) -> None:
    with path.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
        file.writelines(pieces)
