"""The queue of all recordings' windows, and which of them make a batch."""

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import chain, islice, takewhile, zip_longest

from whisper_server.queued_window import QueuedWindow
from whisper_server.transcription_task import TranscriptionTask


class WindowQueue:
    """Takes turns between recordings, so that a long one does not keep a short one waiting.

    `more_is_coming` returns whether waiting may fill a batch. Thread-safe.
    """

    def __init__(self, more_is_coming: Callable[[], bool]) -> None:
        self._more_is_coming = more_is_coming
        self._queues: dict[TranscriptionTask, deque[QueuedWindow]] = {}
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        with self._changed:
            return self._count()

    def push(self, windows: Iterable[QueuedWindow]) -> None:
        """Queue windows after the others of their recordings."""
        with self._changed:
            for queued in windows:
                self._queues.setdefault(queued.task, deque()).append(queued)
            self._changed.notify_all()

    def push_back(self, windows: Iterable[QueuedWindow]) -> None:
        """Queue windows before the others of their recordings, to be decoded again."""
        with self._changed:
            for queued in reversed(list(windows)):
                self._queues.setdefault(queued.task, deque()).appendleft(queued)
            self._changed.notify_all()

    def drop(self, task: TranscriptionTask) -> None:
        """Remove the windows of a recording."""
        with self._changed:
            self._queues.pop(task, None)

    def take(self, max_windows: Callable[[], int], timeout_seconds: float) -> list[QueuedWindow]:
        """Wait for a batch of up to `max_windows()` windows of one key.

        Waits for the first, and for the others until the oldest has waited `timeout_seconds`.
        Returns an empty list when the queue is closed.
        """
        with self._changed:
            while True:
                while not self._queues and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return []
                left = self._seconds_left(max_windows(), timeout_seconds)
                if left <= 0:
                    return self._pick(max_windows())
                self._changed.wait(left)

    def wake(self) -> None:
        """Make waiting callers of `take` check again whether more is coming."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._queues.clear()
            self._changed.notify_all()

    def _count(self) -> int:
        return sum(map(len, self._queues.values()))

    def _seconds_left(self, max_windows: int, timeout_seconds: float) -> float:
        if self._count() >= max_windows or not self._more_is_coming():
            return 0.0
        oldest = min(queue[0].queued_at for queue in self._queues.values())
        return oldest + timeout_seconds - time.monotonic()

    def _pick(self, max_windows: int) -> list[QueuedWindow]:
        """Take one window of each recording in turn, then a second, until the batch is full.

        A recording that got a place goes to the end of the queue.
        """
        first = next(iter(self._queues.values()))[0]
        batch = [first]
        if not first.alone:
            runs = [_run_of(first.key, queue) for queue in self._queues.values()]
            rounds = chain.from_iterable(zip_longest(*runs))
            batch = list(islice((queued for queued in rounds if queued is not None), max_windows))
        for queued in batch:
            self._queues[queued.task].popleft()
        for task in dict.fromkeys(queued.task for queued in batch):
            if queue := self._queues.pop(task):
                self._queues[task] = queue
        return batch


def _run_of(key: Hashable, queue: Iterable[QueuedWindow]) -> Iterator[QueuedWindow]:
    """Return the windows at the head of a queue that may share a batch of this key."""
    return takewhile(lambda queued: not queued.alone and queued.key == key, queue)
