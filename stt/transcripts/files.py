"""Transcript files: names that are safe for every recording; written whole or not at all."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from stt.domain.chunk import Recording
from stt.domain.visible_text import visible
from stt.errors import SttError
from stt.system.files import followed, is_planted, replacement
from stt.transcripts.formats import WRITERS

_MAX_STEM_BYTES = 200
_FORBIDDEN = re.compile(r'[<>:"|?*\\]')  # by Windows
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


def file_name(recording: Recording, format_name: str) -> str:
    """Return a transcript's file name, without a folder and without unsafe characters."""
    return f"{_stem(recording.filename, str(recording.id))}.{format_name}"


def file_stems(recordings: Sequence[Recording]) -> list[str]:
    """Return the path of each transcript's file below one folder, without its extension.

    A recording has the path that it had below the folder that was given. If a recording before it
    has that one, the name of the folder goes before it, and if that is taken too, its id behind
    it: files of two recordings never overwrite one another, and a recording keeps its files when
    others are added behind it. Recordings without a path have their ids behind their names
    wherever several would share a file.
    """
    wanted: defaultdict[str, set[object]] = defaultdict(set)
    for recording in recordings:
        wanted[folded(next(_candidates(recording)))].add(recording.id)
    owners: dict[str, object] = {}
    stems = []
    for recording in recordings:
        candidates = _candidates(recording)
        stem = next(candidates)
        if recording.path is None and len(wanted[folded(stem)]) > 1:
            stem = next(candidates)
        while owners.setdefault(folded(stem), recording.id) != recording.id:
            stem = next(candidates)
        stems.append(stem)
    return stems


def _candidates(recording: Recording) -> Iterator[str]:
    """Yield the stems that a recording may have, without end."""
    recording_id = str(recording.id)
    # A file name of another program may hold anything.
    *folders, name = (recording.path or recording.filename).split("/")
    parts = [_folder(folder) for folder in folders if recording.path]
    stem = "/".join([*parts, _stem(name, recording_id)])
    yield stem
    if recording.folder:
        yield f"{_folder(recording.folder)}/{stem}"
    while True:
        stem = f"{stem}_{recording_id}"
        yield stem


def _folder(name: str) -> str:
    """Return a folder's name that no transcript beside it has, as `talk.txt` may be."""
    name = _safe(name, "folder")
    return name + "_" * (Path(name).suffix[1:].lower() in WRITERS)


def _stem(filename: str, recording_id: str) -> str:
    name = re.split(r"[/\\]", filename)[-1]
    return _safe(without_extension(name), recording_id)


def without_extension(name: str) -> str:
    """Return a file's name without its extension, of up to five letters and digits.

    Keep one that transcripts have: the transcript of such a recording must not replace it.
    """
    stem = re.sub(r"\.[A-Za-z0-9]{1,5}$", "", name)
    return name if not stem or name[len(stem) + 1 :].lower() in WRITERS else stem


def _safe(name: str, word: str) -> str:
    """Return a name that every file system takes; `word` is added to one that none is left of."""
    name = _FORBIDDEN.sub("_", visible(name, "_")).strip(" .")
    if not name or _RESERVED.match(name):
        head, dot, tail = name.partition(".")  # Windows reserves NUL.anything
        name = f"{head}_{word}{dot}{tail}".lstrip("_")
    while len(name.encode()) > _MAX_STEM_BYTES:
        name = name[:-1]
    return name


def folded(name: str) -> str:
    """Return what is equal for names that a file system may take for one.

    Some ignore case, and whether an accent is written as one character or as two.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def save(pieces: Iterable[str], path: Path, folder: Path | None = None) -> None:
    """Write a transcript as a whole file or not at all; raises SttError if it cannot be written.

    `folder`: the one that a person named, if the path below it was made from a recording's name.
    Without it the path itself was named: a pipe or a device there is written, not replaced. A link
    stays a link, but one that another user may have planted is replaced.
    """
    try:
        if folder is not None:
            _check_folders(path, folder)
        path = followed(path)
        special = _opened_if_special(path) if folder is None else None
        if special is None:
            write_whole(pieces, path)
            return
        with special as file:
            file.writelines(pieces)
    except OSError as error:
        raise SttError(f"Cannot write {path}: {error.strerror or error}") from error


def write_whole(pieces: Iterable[str], path: Path) -> None:
    """Write a whole file or none, and its folder; raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacement(path, mode=0o666) as file:
        file.writelines(pieces)


def _check_folders(path: Path, folder: Path) -> None:
    """Raise SttError if a link leads out of the folder that another user may have planted."""
    for parent in path.parents:
        if parent == folder or not parent.is_relative_to(folder):
            return
        if is_planted(parent):
            raise SttError(
                f"Cannot write {path}: {parent} is a link that another user may have made. Remove"
                " it, or name another folder."
            )


def _opened_if_special(path: Path) -> IO[str] | None:
    """Open a pipe or a device to be written; return None for a file, and where there is nothing.

    Raises OSError.
    """
    if is_planted(path) or not path.exists() or path.is_file():
        return None
    # What is there may be exchanged meanwhile: follow no new link, and truncate nothing.
    no_follow = 0 if path.is_symlink() else getattr(os, "O_NOFOLLOW", 0)
    handle = os.open(path, os.O_WRONLY | no_follow)
    return os.fdopen(handle, "w", encoding="utf-8", errors="replace", newline="\n")
