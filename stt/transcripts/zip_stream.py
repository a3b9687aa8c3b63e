"""Write a zip file piece by piece, while its contents are still being made."""

import time
from collections.abc import Iterable, Iterator
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

_BLOCK_BYTES = 64 * 1024
_MAX_PAUSE_SECONDS = 1.0


def zip_stream(files: Iterable[tuple[str, str]]) -> Iterator[bytes]:
    """Yield a zip file with these names and texts, encoded as UTF-8; hold one text at a time.

    Yield the first block as soon as the first file is in it, and each later one when it is large
    or a second has passed: the receiver sees that it goes on.
    """
    sink, yielded_at = _Sink(), float("-inf")
    with ZipFile(sink, "w", ZIP_DEFLATED) as archive:
        for name, text in files:
            info = ZipInfo(name, time.localtime()[:6])
            info.compress_type = ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, text.encode("utf-8", "replace"))
            if sink.size >= _BLOCK_BYTES or time.monotonic() >= yielded_at + _MAX_PAUSE_SECONDS:
                yielded_at = time.monotonic()
                yield sink.take()
    yield sink.take()


class _Sink:
    """Holds what was written; `ZipFile` writes it in order, as it has neither `tell` nor `seek`."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self.size = 0

    def write(self, block: bytes, /) -> int:
        self._blocks.append(bytes(block))
        self.size += len(block)
        return len(block)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def take(self) -> bytes:
        taken = b"".join(self._blocks)
        self._blocks, self.size = [], 0
        return taken
