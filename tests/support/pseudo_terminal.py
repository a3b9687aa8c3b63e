"""A command on a terminal of its own, which can be closed."""

import contextlib
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

# Take the terminal as the controlling one: the system sends SIGHUP to no other process. The tests
# may have been started with nohup.
_IN_TERMINAL = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGHUP, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


class PseudoTerminal:
    """A terminal with a Python program in it; what it shows is discarded."""

    def __init__(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", _IN_TERMINAL, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env={**environment, "TERM": "xterm"},
            start_new_session=True,
        )
        os.close(theirs)
        self._must_close = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def close(self) -> None:
        """Close the terminal, as its window or the network connection does."""
        self._must_close.set()
        self._reader.join()

    def _read(self) -> None:
        os.set_blocking(self._ours, False)
        with contextlib.suppress(OSError):  # nobody has the other end any more
            while not self._must_close.wait(0.02):
                with contextlib.suppress(BlockingIOError):
                    os.read(self._ours, 65_536)
        self._must_close.wait()
        os.close(self._ours)


@contextlib.contextmanager
def terminal(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> Iterator[PseudoTerminal]:
    """Run Python with these arguments on a terminal; close it and kill the program at the end."""
    shown = PseudoTerminal(arguments, folder, environment)
    try:
        yield shown
    finally:
        with shown.process:
            shown.process.kill()
        shown.close()
