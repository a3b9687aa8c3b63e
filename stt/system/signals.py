"""Call a function on Ctrl-C, SIGTERM and SIGHUP, instead of raising an exception anywhere."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], object]

# Windows has no SIGHUP.
_HANGUP = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []
END_SIGNALS = (signal.SIGTERM, *_HANGUP)
"""The signals that other programs and a closed terminal send."""


@contextmanager
def on_signals(
    handler: Handler, numbers: Sequence[signal.Signals] = (signal.SIGINT, *END_SIGNALS)
) -> Iterator[None]:
    """Call `handler` at each of these signals inside the `with` block, at SIGHUP once.

    A terminal that closes sends SIGHUP more than once: from the shell, and from the system. Leave
    it ignored where it is, as under nohup. Do nothing outside the main thread: only that one
    receives signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in numbers}
    terminals = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]

    def hang_up(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        _discard_output_of_closed(terminals)
        handler(number, frame)

    for number in numbers:
        if number not in _HANGUP:
            signal.signal(number, handler)
        elif before[number] is not signal.SIG_IGN:
            signal.signal(number, hang_up)
    try:
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)


def _discard_output_of_closed(terminals: Sequence[int]) -> None:
    """Make writes to terminals that have closed succeed: they would fail in any line of code."""
    closed = [descriptor for descriptor in terminals if not os.isatty(descriptor)]
    if closed:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in closed:
            os.dup2(nowhere, descriptor)
        os.close(nowhere)
