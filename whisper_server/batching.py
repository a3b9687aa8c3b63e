"""The queue in which the windows of all recordings meet, and what of it makes a batch."""

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import chain, islice, takewhile, zip_longest

from whisper_server.transcription_task import QueuedWindow, TranscriptionTask


class WindowQueue:
    """Takes turns between recordings, so that a long one does not keep a short one waiting.

    `more_is_coming` tells whether it is worth while to wait for company. Thread-safe.
    """

    def __init__(self, more_is_coming: Callable[[], bool]) -> None:
        self._more_is_coming = more_is_coming
        self._lines: dict[TranscriptionTask, deque[QueuedWindow]] = {}
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        with self._changed:
            return self._count()

    def push(self, windows: Iterable[QueuedWindow]) -> None:
        """Behind the other windows of their recordings."""
        with self._changed:
            for queued in windows:
                self._lines.setdefault(queued.work, deque()).append(queued)
            self._changed.notify_all()

    def push_back(self, windows: Iterable[QueuedWindow]) -> None:
        """In front of the other windows of their recordings, to be decoded once more."""
        with self._changed:
            for queued in reversed(list(windows)):
                self._lines.setdefault(queued.work, deque()).appendleft(queued)
            self._changed.notify_all()

    def drop(self, work: TranscriptionTask) -> None:
        """Forget the windows of a recording that nobody waits for any more."""
        with self._changed:
            self._lines.pop(work, None)

    def take(self, most: Callable[[], int], patience_seconds: float) -> list[QueuedWindow]:
        """A batch of up to `most()` windows of one key; waits for the first, and for the others
        until the oldest has waited `patience_seconds`. An empty list: the queue is closed."""
        with self._changed:
            while True:
                while not self._lines and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return []
                left = self._patience_left(most(), patience_seconds)
                if left <= 0:
                    return self._pick(most())
                self._changed.wait(left)

    def wake(self) -> None:
        """Nothing more may be coming: look again."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._lines.clear()
            self._changed.notify_all()

    def _count(self) -> int:
        return sum(len(line) for line in self._lines.values())

    def _patience_left(self, most: int, patience_seconds: float) -> float:
        if self._count() >= most or not self._more_is_coming():
            return 0.0
        oldest = min(line[0].queued_at for line in self._lines.values())
        return oldest + patience_seconds - time.monotonic()

    def _pick(self, most: int) -> list[QueuedWindow]:
        """One window of each recording in turn, then a second one of each, until it is full.

        Whoever got a place goes to the end of the line of recordings.
        """
        first = next(iter(self._lines.values()))[0]
        batch = [first]
        if not first.alone:
            runs = [_run_of(first.key, line) for line in self._lines.values()]
            rounds = chain.from_iterable(zip_longest(*runs))
            batch = list(islice((queued for queued in rounds if queued is not None), most))
        for queued in batch:
            self._lines[queued.work].popleft()
        for work in dict.fromkeys(queued.work for queued in batch):
            line = self._lines.pop(work)
            if line:
                self._lines[work] = line
        return batch


def _run_of(key: Hashable, line: Iterable[QueuedWindow]) -> Iterator[QueuedWindow]:
    """The windows at the head of a line that may share a batch of this key."""
    return takewhile(lambda queued: not queued.alone and queued.key == key, line)
