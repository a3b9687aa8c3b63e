"""The recordings of a run that more are added to while it works."""

import threading

from bson import ObjectId


class Arrivals:
    """Recordings whose chunks come while a worker runs. Safe between threads.

    The worker stays until `end` is called. `expected_chunks`: about how many there will be in all.
    """

    def __init__(self) -> None:
        self.recordings: tuple[ObjectId, ...] = ()
        self.expected_chunks = 0
        self._ended = threading.Event()

    @property
    def has_ended(self) -> bool:
        """Whether no more chunks come, of these recordings or of others."""
        return self._ended.is_set()

    def add(self, *recordings: ObjectId) -> None:
        self.recordings = tuple(dict.fromkeys((*self.recordings, *recordings)))

    def end(self) -> None:
        self._ended.set()
