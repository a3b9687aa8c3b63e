"""Which files of a folder are recordings: by FFmpeg's names of formats, and by their content."""

import mimetypes
from functools import cache
from pathlib import Path

import av

from stt.media.container import RAW_FORMATS
from stt.media.isolated_reader import has_sound

NAMES = frozenset({
    ".3g2", ".3gp", ".3gpp", ".aac", ".ac3", ".adts", ".aif", ".aifc", ".aiff", ".amr", ".ape",
    ".asf", ".au", ".avi", ".awb", ".caf", ".divx", ".dss", ".dts", ".dv", ".eac3", ".f4a",
    ".f4v", ".flac", ".flv", ".gsm", ".m2t", ".m2ts", ".m4a", ".m4b", ".m4r", ".m4v", ".mka",
    ".mkv", ".mov", ".mp1", ".mp2", ".mp3", ".mp4", ".mpa", ".mpc", ".mpe", ".mpeg", ".mpg",
    ".mpga", ".mxf", ".oga", ".ogg", ".ogm", ".ogv", ".opus", ".qt", ".ra", ".rm", ".rmvb",
    ".snd", ".spx", ".tak", ".tta", ".vob", ".voc", ".w64", ".wav", ".weba", ".webm", ".wma",
    ".wmv", ".wv",
})  # fmt: skip
"""Extensions that nothing but recordings and films have: one of them that cannot be read is worth a
line to a person. Other files are looked into."""

_TYPES = mimetypes.MimeTypes(filenames=())


def is_recording(path: Path) -> bool:
    """Return whether a file inside a folder is taken for a recording.

    Files of any other extension that FFmpeg has for a format (`.ts` may be a film or a program)
    are opened: a second of sound must come out.
    """
    suffix = path.suffix.lower()
    if suffix in NAMES or suffix.removeprefix(".") in RAW_FORMATS:
        return True
    kind, _ = _TYPES.guess_type(f"name{suffix}")
    if kind is not None and kind.startswith(("image/", "text/")):
        return False
    # A pipe would wait for its writer.
    return suffix.removeprefix(".") in _extensions() and path.is_file() and _has_sound(path)


@cache
def _extensions() -> frozenset[str]:
    """Return the extensions of all formats that this FFmpeg knows."""
    formats = [av.ContainerFormat(name) for name in av.formats_available]
    return frozenset(name.strip().lower() for known in formats for name in known.extensions)


def _has_sound(path: Path) -> bool:
    """Return whether the file can be read, and has an audio track that can be decoded."""
    try:
        with path.open("rb") as file:
            return has_sound(file)
    except OSError:
        return False
