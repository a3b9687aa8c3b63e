"""Notify of what is done while a command works."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from stt.settings import Settings

if TYPE_CHECKING:
    from bson import ObjectId

    from stt.store.database import Database


@contextmanager
def notifying(
    database: "Database",
    settings: Settings,
    recordings: "Sequence[ObjectId] | None" = None,
    *,
    finishes: bool = True,
) -> Iterator[None]:
    """Deliver notifications while the block runs and at its end, if the settings name any.

    With `recordings`, the command of --on-done is run for those alone that it holds at the end.
    Without `finishes`, what is due at the end is left to the next process.
    """
    if not settings.notifies:
        yield
        return
    # Import it here: it imports HTTP libraries, which slow down other runs.
    from stt.notifications.notifier import Notifier

    with Notifier(database, settings, recordings, finishes=finishes):
        yield
