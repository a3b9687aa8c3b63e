"""Where the files begin that were joined to one: chained Ogg, and what `cat` makes.

FFmpeg reads the first of them only (WAV, AIFF, MP4), or stops where the form changes (Ogg Opus). It
reads joined MP3, ADTS, Matroska and MPEG-TS by itself.
"""

import re
from collections.abc import Callable, Iterator

from stt.media.window import FileWindow

MAX_LINKS = 2_000
"""A day of an internet radio with a link for each song has some hundreds."""
MAX_ELEMENTS = 200_000
"""Boxes of a fragmented MP4 of a day."""

_BLOCK_BYTES = 1 << 20
_OVERLAP_BYTES = 64
_OGG_PAGE_HEADER_BYTES = 27
_ASF_GUID = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_WAVPACK_FIRST = b"".join(re.escape(bytes([flags])) for flags in range(256) if flags & 0x08)

_SOUGHT = {
    # By FFmpeg's name of the format: what a file begins with, long enough that it does not occur by
    # chance, and the constant bytes at its start.
    "ogg": (b"OggS", rb"OggS\x00[\x02\x06]\x00{8}"),  # RFC 3533: a first page, at position 0
    "flac": (b"fLaC", rb"fLaC[\x00\x80]\x00\x00\x22"),  # RFC 9639: STREAMINFO, of 34 bytes
    "flv": (b"FLV\x01", rb"FLV\x01[\x01\x04\x05]\x00\x00\x00\x09\x00{4}"),
    "wv": (b"wvpk", rb"wvpk.{12}\x00{4}.{5}[" + _WAVPACK_FIRST + rb"]"),  # block index 0
    "amr": (b"#!AMR", rb"#!AMR(?:-WB)?\n"),
}


def _riff_bytes(head: bytes) -> int:
    if head.startswith(b"RF64") and head[12:16] == b"ds64":
        return 8 + int.from_bytes(head[20:28], "little")
    size = int.from_bytes(head[4:8], "little")
    return 8 + size + size % 2


def _form_bytes(head: bytes) -> int:
    size = int.from_bytes(head[4:8], "big")
    return 8 + size + size % 2


def _caf_bytes(head: bytes) -> int:
    size = int.from_bytes(head[4:12], "big", signed=True)
    if head.startswith(b"caff"):
        return 8
    return 12 + size if size >= 0 else 0  # -1: up to the end of the file


def _asf_bytes(head: bytes) -> int:
    return int.from_bytes(head[16:24], "little")


def _box_bytes(head: bytes) -> int:
    size = int.from_bytes(head[:4], "big")
    return int.from_bytes(head[8:16], "big") if size == 1 else size


_WALKED: dict[str, tuple[bytes, Callable[[bytes], int]]] = {
    # What a file begins with, and the size of an element by its first 32 bytes, 0 if it is the last
    # one: elements follow one another, so the rest of a large file need not be read.
    "wav": (rb"(?:RIFF|RF64).{4}WAVE", _riff_bytes),
    "avi": (rb"RIFF.{4}AVI ", _riff_bytes),
    "aiff": (rb"FORM.{4}AIF[CF]", _form_bytes),
    "caf": (rb"caff\x00\x01", _caf_bytes),
    "asf": (re.escape(_ASF_GUID), _asf_bytes),
    "mov": (rb".{4}ftyp", _box_bytes),
}


def links(window: FileWindow, format_name: str) -> list[FileWindow]:
    """Return the parts of the file, each a file of this format; mostly one, the whole.

    What follows the first MAX_LINKS - 1 comes out as one part.
    """
    name = format_name.partition(",")[0]
    if name in _WALKED:
        found = _walked(window, *_WALKED[name])
    elif name in _SOUGHT:
        found = _sought(window, *_SOUGHT[name])
        if name == "ogg":
            found = _without_grouped(window, found)
    else:
        return [window]
    starts = [0]
    for start in found:
        if start > 0:
            starts.append(start)
        if len(starts) == MAX_LINKS:
            break
    ends = [*starts[1:], window.size]
    return [window.part(start, end) for start, end in zip(starts, ends, strict=True)]


def _walked(
    window: FileWindow, pattern: bytes, element_bytes: Callable[[bytes], int]
) -> Iterator[int]:
    """Yield where files begin, from element to element."""
    beginning = re.compile(pattern, re.DOTALL)
    position = 0
    for _ in range(MAX_ELEMENTS):
        head = window.read_at(position, 32)
        if beginning.match(head):
            yield position
        size = element_bytes(head)
        if len(head) < 8 or size < 8:
            return
        position += size


def _sought(window: FileWindow, needle: bytes, pattern: bytes) -> Iterator[int]:
    """Yield where files begin, wherever the pattern is; reads all of the window."""
    beginning = re.compile(pattern, re.DOTALL)
    position, tail = 0, b""
    while block := window.read_at(position, _BLOCK_BYTES):
        data = tail + block
        first = position - len(tail)
        position += len(block)
        # A match may need what comes with the next block.
        limit = len(data) if position >= window.size else len(data) - _OVERLAP_BYTES
        at = data.find(needle)
        while 0 <= at < limit:
            if beginning.match(data, at):
                yield first + at
            at = data.find(needle, at + 1)
        tail = data[max(0, limit) :]


def _without_grouped(window: FileWindow, starts: Iterator[int]) -> Iterator[int]:
    """Leave out pages that follow a first page at once: the streams of a link begin together."""
    group_end = -1
    for start in starts:
        if start != group_end:
            yield start
        header = window.read_at(start, _OGG_PAGE_HEADER_BYTES + 255)
        count = header[26] if len(header) > 26 else 0
        lengths = header[_OGG_PAGE_HEADER_BYTES : _OGG_PAGE_HEADER_BYTES + count]
        group_end = start + _OGG_PAGE_HEADER_BYTES + count + sum(lengths)
