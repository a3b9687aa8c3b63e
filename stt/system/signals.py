"""Ctrl-C and SIGTERM as a call, in place of an exception in the middle of anything."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class GoAtOnce(KeyboardInterrupt):
    """The person has asked so often that nothing may be waited for any more."""


@contextmanager
def on_signals(action: Callable[[], None]) -> Iterator[None]:
    """Calls `action` at each SIGINT or SIGTERM inside the `with`; does nothing outside the main
    thread, which alone receives signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda _number, _frame: action()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
