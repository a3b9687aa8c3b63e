"""Call a function on Ctrl-C and SIGTERM, instead of raising an exception anywhere."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class ExitAtOnce(KeyboardInterrupt):
    """The user has interrupted so often that the program must not wait for anything more."""


@contextmanager
def on_signals(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Call `handler` at each SIGINT or SIGTERM inside the `with` block.

    Do nothing outside the main thread: only that one receives signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler_before in zip(numbers, before, strict=True):
            signal.signal(number, handler_before)
