"""How busy the threads of the server are, and how much they do."""

import threading


class Gauge:
    """Counts the threads within its context. Thread-safe."""

    def __init__(self) -> None:
        self.value = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self.value += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.value -= 1


class Average:
    """The ratio of two sums in which older values count less. Not thread-safe."""

    MEMORY = 0.98

    def __init__(self) -> None:
        self._above = 0.0
        self._below = 0.0

    def add(self, above: float, below: float) -> None:
        self._above = self.MEMORY * self._above + above
        self._below = self.MEMORY * self._below + below

    @property
    def ratio(self) -> float | None:
        """Return the ratio; None before the first value above it."""
        return self._above / self._below if self._above else None
