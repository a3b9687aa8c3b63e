"""Run as a script: a decoder process that files can end, or keep busy.

A file does it that holds `DIES_OF`, a number of blocks, and what to do after so many: the name of a
signal, `memory`, `time`, `exit` or `nonsense`.
"""

import os
import re
import signal
import sys
from typing import Any, BinaryIO

from stt.media import decoder_process
from stt.media.decoder_session import Answer, DecoderSession

DIES_OF = b"dies of"


def deadly(kind: str, after_blocks: int = 0) -> bytes:
    """Return bytes that end a dying decoder when they are in a file."""
    return b"%b %b after %d" % (DIES_OF, kind.encode(), after_blocks)


class DyingSession(DecoderSession):
    def __init__(self) -> None:
        super().__init__()
        self._kind, self._blocks_left = "", 0

    def handle(self, what: str, request: dict[str, Any], file: BinaryIO | None) -> Answer:
        if file is not None:
            file.seek(0)
            found = re.search(DIES_OF + rb" (\w+) after (\d+)", file.read())
            self._kind = found[1].decode() if found else ""
            self._blocks_left = int(found[2]) if found else 0
        if self._kind and what != "close" and self._blocks_left <= 0:
            die(self._kind)
        self._blocks_left -= what == "block"
        return super().handle(what, request, file)


def die(kind: str) -> None:
    if kind == "memory":
        grown = []
        while True:
            grown.append(b"x" * (50 << 20))
    if kind == "time":
        while True:
            pass
    if kind == "exit":
        sys.exit(3)
    if kind == "nonsense":
        os.write(int(sys.argv[1]), b"\xff" * 100)
        os.kill(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), getattr(signal, kind))


if __name__ == "__main__":
    decoder_process.CPU_SECONDS = 0.5
    decoder_process.CPU_SECONDS_FOR_EACH_SECOND = 0.05
    decoder_process.main(DyingSession)
