"""Decoder processes, kept between files: one takes a third of a second to start."""

import atexit
import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, BinaryIO, Protocol

from stt.errors import BadAudio, SttError
from stt.media.decoder_messages import Message, receive_message, send_message
from stt.media.decoder_session import DecoderSession

MAX_IDLE = 8
"""Processes that wait for the next file; each holds 25 MB."""
ANSWER_SECONDS = 600.0
"""The longest wait for an answer, for a file on a disk that is slow or gone. What takes processor
time is stopped much earlier (`decoder_process`)."""

_SENT_BYTES = 4 << 20
"""Smaller files are sent to the decoder; larger ones it is given opened, if they are on a disk."""
COMMAND = (sys.executable, "-P", "-m", "stt.media.decoder_process")
_START_SECONDS = 120.0
_END_SECONDS = 2.0


class DecoderUnavailable(SttError):
    """No decoder can be started, or one has failed for a reason that is not the file's."""


class Decoder(Protocol):
    """What answers requests about one file at a time."""

    def ask(self, request: dict[str, Any], file: BinaryIO | None = None) -> Message:
        """Return the answer. Raise BadAudio if the file makes the decoder end."""
        ...


class DecoderProcess:
    """A running decoder. Raises DecoderUnavailable if it cannot be started."""

    def __init__(self, command: Sequence[str]) -> None:
        # One thread for arithmetic, one pool of memory: address space is what is limited.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
        self._connection, theirs = _socket_pair()
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [*command, str(theirs.fileno())],
                    env=environment,
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
        except OSError as error:
            self._connection.close()
            raise DecoderUnavailable(f"The decoder cannot be started: {error}") from error
        self._connection.settimeout(_START_SECONDS)
        try:
            receive_message(self._connection)
        except (EOFError, OSError, ValueError) as error:
            code = self.end()
            message = f"The decoder cannot be started: it ended with {code}"
            raise DecoderUnavailable(message) from error
        self._connection.settimeout(ANSWER_SECONDS)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: dict[str, Any], file: BinaryIO | None = None) -> Message:
        data, descriptor = _sent(file)
        try:
            send_message(self._connection, request, data, descriptor)
            return receive_message(self._connection)
        except TimeoutError as error:
            self._process.kill()
            self.end()
            raise BadAudio(f"nothing came of it in {ANSWER_SECONDS / 60:g} minutes") from error
        except (EOFError, OSError, ValueError) as error:
            raise BadAudio(_death(self.end())) from error
        except BaseException:  # an interrupt: its answer must not be taken for that to the next
            self._process.kill()
            self.end()
            raise

    def end(self) -> int:
        """End the process; return its exit code, or minus the signal that had ended it before."""
        self._connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(_END_SECONDS)
        self._process.kill()
        return self._process.wait()


class DecoderPool:
    """Starts decoders as they are needed, one for each file that is open. Thread-safe."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self._command = command
        self._idle: list[DecoderProcess] = []
        self._lock = threading.Lock()

    def take(self) -> Decoder:
        """Return a decoder for one file; give it back with `give`. Raise DecoderUnavailable."""
        if not can_isolate():
            return DecoderHere()
        while True:
            with self._lock:
                decoder = self._idle.pop() if self._idle else None
            if decoder is None:
                return DecoderProcess(self._command)
            if decoder.is_alive:
                return decoder
            decoder.end()

    def give(self, decoder: Decoder) -> None:
        """Take back a decoder whose file is closed, or that has ended."""
        if not isinstance(decoder, DecoderProcess):
            return
        with self._lock:
            if decoder.is_alive and len(self._idle) < MAX_IDLE:
                self._idle.append(decoder)
                return
        decoder.end()

    def close(self) -> None:
        """End all that are idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for decoder in idle:
            decoder.end()


class DecoderHere:
    """Decodes in this process, where no other one can be started."""

    def __init__(self) -> None:
        self._session = DecoderSession()

    def ask(self, request: dict[str, Any], file: BinaryIO | None = None) -> Message:
        return Message(*self._session.answer(request, file))


def can_isolate() -> bool:
    """Return whether decoders have a process of their own.

    Windows has no such limits, and a program that was built into one file no Python.
    """
    return find_spec("resource") is not None and not getattr(sys, "frozen", False)


def _socket_pair() -> tuple[socket.socket, socket.socket]:
    """Raise DecoderUnavailable."""
    try:
        return socket.socketpair()
    except OSError as error:
        raise DecoderUnavailable(f"The decoder cannot be started: {error}") from error


def _sent(file: BinaryIO | None) -> tuple[bytes, int | None]:
    """Return how a file is sent: its bytes, or its descriptor."""
    if file is None:
        return b"", None
    if file.seek(0, io.SEEK_END) > _SENT_BYTES:
        with contextlib.suppress(io.UnsupportedOperation):
            return b"", file.fileno()
    file.seek(0)
    return file.read(), None


def _death(code: int) -> str:
    """Say what it means that a decoder has ended with this code over a file."""
    if code >= 0:
        return f"the decoder failed over it (exit code {code})"
    name = signal.Signals(-code).name
    if name == "SIGXCPU":
        return "it takes too much time for the little sound that comes of it"
    if name == "SIGKILL":
        return "the decoder was killed, as when memory runs out"
    return f"it crashes the decoder ({name})"


pool = DecoderPool()
"""That of this process."""
atexit.register(pool.close)
