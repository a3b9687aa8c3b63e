"""A part of a file, as a file of its own for FFmpeg."""

import io
from typing import BinaryIO


class FileWindow:
    """The bytes from `start` to `end` of an open file, whose position several windows may share.

    Read by one thread at a time. Errors of the file (OSError) pass through.
    """

    def __init__(self, file: BinaryIO, start: int = 0, end: int | None = None) -> None:
        self._file = file
        self._start = start
        self._end = file.seek(0, io.SEEK_END) if end is None else end
        self._position = start

    @property
    def size(self) -> int:
        return self._end - self._start

    def part(self, start: int, end: int) -> "FileWindow":
        return FileWindow(self._file, self._start + start, self._start + end)

    def read(self, count: int) -> bytes:
        count = min(count, self._end - self._position)
        if count <= 0:
            return b""
        self._file.seek(self._position)
        data = self._file.read(count)
        self._position += len(data)
        return data

    def read_at(self, position: int, count: int) -> bytes:
        """Read without moving; what lies outside of the window is left out."""
        first, last = max(0, position), min(position + count, self.size)
        if last <= first:
            return b""
        self._file.seek(self._start + first)
        return self._file.read(last - first)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Return the new position, or -1, as FFmpeg wants it, for one that is not there."""
        starts = {io.SEEK_SET: self._start, io.SEEK_CUR: self._position, io.SEEK_END: self._end}
        target = starts[whence] + offset
        if target < self._start:
            return -1
        self._position = target
        return target - self._start

    def tell(self) -> int:
        return self._position - self._start
