"""A process that decodes files for another one, so that a hostile file ends nothing but this one.

    python -m stt.media.decoder_process SOCKET

SOCKET is the number of an inherited socket (`decoder_messages`). The process ends when the other
end of it is closed, however that program ended. What the system holds it to:

- memory: MAX_MEMORY_BYTES beyond what it has at its start (RLIMIT_AS; macOS does not enforce it);
- processor time for each file: CPU_SECONDS, and some more for its size and for what comes out;
- files: no more can be opened while one is being read (RLIMIT_NOFILE).
"""

import io
import math
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import av.subtitles.codeccontext  # PyAV imports these when it meets subtitles: too late by then
import av.subtitles.stream
import av.subtitles.subtitle  # noqa: F401

from stt.media.container import use_one_thread
from stt.media.decoder_messages import receive_message, send_message
from stt.media.decoder_session import DecoderSession

MAX_MEMORY_BYTES = 512 << 20
"""To read the index of a day of m4a takes 330 MB."""
CPU_SECONDS = 60.0
CPU_SECONDS_FOR_EACH_SECOND = 0.5
"""Of sound; slow machines decode it fifty times as fast."""
CPU_SECONDS_FOR_EACH_BYTE = 1 / 50e6


def main(begin_session: Callable[[], DecoderSession] = DecoderSession) -> None:
    """Serve until the socket is closed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the other program decides what a signal means
    use_one_thread()  # the stack of each is address space
    _limit_memory()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with socket.socket(fileno=int(sys.argv[1])) as connection, suppress(EOFError, OSError):
        send_message(connection, {"pid": os.getpid()})
        _serve(connection, begin_session())


def _serve(connection: socket.socket, session: DecoderSession) -> None:
    limits = _Limits()
    while True:
        request = receive_message(connection, with_file=True)
        file = request.file or io.BytesIO(request.data)
        with file:
            limits.begin(file.seek(0, io.SEEK_END))
            fields, data = session.answer(request.fields, file)
            send_message(connection, fields, data)
            while session.is_open:
                limits.allow(session.decoded_seconds)
                fields, data = session.answer(receive_message(connection).fields)
                send_message(connection, fields, data)
        limits.end()


class _Limits:
    """Those that change from file to file."""

    def __init__(self) -> None:
        self._soft_files, self._hard_files = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._until = 0.0

    def begin(self, size: int) -> None:
        """Allow the time for a file of so many bytes; open no other one until `end`."""
        self._until = time.process_time() + CPU_SECONDS + size * CPU_SECONDS_FOR_EACH_BYTE
        self.allow(0.0)
        first_free = os.dup(0)
        os.close(first_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (first_free, self._hard_files))

    def allow(self, decoded_seconds: float) -> None:
        """Have the process killed by SIGXCPU when it takes longer than so much sound may."""
        until = self._until + decoded_seconds * CPU_SECONDS_FOR_EACH_SECOND
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(until) + 1, hard))

    def end(self) -> None:
        """Allow files to be opened again."""
        resource.setrlimit(resource.RLIMIT_NOFILE, (self._soft_files, self._hard_files))


def _limit_memory() -> None:
    with suppress(OSError, ValueError):  # no such file, or no such limit, outside of Linux
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MAX_MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    main()
