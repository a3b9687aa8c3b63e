"""A value that many ask for and that takes a while to find: one search at a time for all."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from stt.errors import DatabaseUnavailable, SttError

logger = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_WAIT_SECONDS = 30.0


class SingleFlight(Generic[T]):
    """Finds a value when somebody asks, at most once in `rest_seconds`, and hands it to everybody.

    After a search that took long it rests `rest_factor` times as long: so looking costs at most
    one part in `rest_factor + 1` of what it looks at. Searches never overlap. Safe between threads.
    """

    def __init__(
        self, find: Callable[[], T], *, rest_seconds: float = 1.0, rest_factor: float = 9.0
    ) -> None:
        self._find = find
        self._rest_seconds = rest_seconds
        self._rest_factor = rest_factor
        self._changed = threading.Condition()
        self._is_searching = False
        self._is_invalid = True  # by what was done since the last search began
        self._due_at = float("-inf")  # on time.monotonic()
        self._searches_ended = 0
        self._found: T | None = None
        self._error: Exception | None = None

    def get(self, patience_seconds: float = 1.0) -> T:
        """The value, new if it can be had within `patience_seconds`, else the last one.

        The first one is waited for. Raises what the last search raised, and DatabaseUnavailable
        if the first takes very long.
        """
        with self._changed:
            if self._is_due() and not self._is_searching:
                self._begin_search()
            if self._is_searching:
                known = self._searches_ended
                patience = patience_seconds if known else _FIRST_WAIT_SECONDS
                self._changed.wait_for(lambda: self._searches_ended > known, patience)
            if self._error is not None:
                raise self._error
            if self._found is None:
                raise DatabaseUnavailable("The queue is still being counted: ask again in a while.")
            return self._found

    def invalidate(self) -> None:
        """What was found so far is no longer true: whoever asks next has it searched anew."""
        with self._changed:
            self._is_invalid = True

    def _is_due(self) -> bool:
        return self._is_invalid or time.monotonic() >= self._due_at

    def _begin_search(self) -> None:
        self._is_searching, self._is_invalid = True, False
        # A thread of its own: who asks may give up waiting, and a server that ends waits for none.
        threading.Thread(target=self._search, name="look", daemon=True).start()

    def _search(self) -> None:
        began_at = time.monotonic()
        found: T | None = None
        error: Exception | None = None
        try:
            found = self._find()
        except SttError as reason:
            error = reason
        except Exception as reason:
            logger.exception("a look at the database failed")
            error = reason
        ended_at = time.monotonic()
        rest = max(self._rest_seconds, self._rest_factor * (ended_at - began_at))
        with self._changed:
            self._is_searching = False
            self._found = self._found if found is None else found
            self._error = error
            # One that failed, however long it took, may succeed in a moment.
            self._due_at = ended_at + (rest if error is None else self._rest_seconds)
            self._searches_ended += 1
            self._changed.notify_all()
