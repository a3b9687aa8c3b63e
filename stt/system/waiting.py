"""What this process waits for before it can go on, for the terminal that shows it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

Describe = Callable[[], str]
Show = Callable[[Describe], AbstractContextManager[object] | None]
"""Shows a description as long as the manager is open; None where nothing can be shown."""


class _Waiting:
    """What is waited for now, and who shows it."""

    def __init__(self) -> None:
        self.describe: Describe | None = None
        self.show: Show = lambda _: None


_waiting = _Waiting()


def show_with(show: Show) -> None:
    """Let `show` show what is waited for from now on."""
    _waiting.show = show


def waited_for() -> str:
    """Return what is waited for at the moment; empty if nothing is."""
    describe = _waiting.describe
    return describe() if describe else ""


@contextmanager
def waiting(describe: Describe) -> Iterator[bool]:
    """Show what is waited for inside the block; yield whether it is shown, else log it."""
    shown = _waiting.show(describe)
    _waiting.describe = describe
    try:
        with shown or nullcontext():
            yield shown is not None
    finally:
        _waiting.describe = None
