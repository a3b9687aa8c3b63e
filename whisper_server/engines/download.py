"""How far the download of a model is, for those who wait for it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_MEGABYTE = 1_000_000


class Download:
    """The download that this process makes, if it makes one. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._repository: str | None = None
        self._bar: Any = None
        self._bytes = 0.0

    @contextmanager
    def of(self, repository: str) -> Iterator[type[Any]]:
        """Yield the class of the bars that the hub's client makes, which counts its bytes here."""
        with self._lock:
            self._repository, self._bar, self._bytes = repository, None, 0.0
        try:
            yield self._counting_bar()
        finally:
            self._repository = None

    def __str__(self) -> str:
        """Say what is fetched and how much of it is here; empty without a download."""
        with self._lock:
            repository, bar, done = self._repository, self._bar, self._bytes
        if repository is None:
            return ""
        total = bar.total if bar is not None else None
        if not total or done > total:
            return f"fetching {repository} from the Hugging Face hub"
        size = f"{done / _MEGABYTE:.0f} of {total / _MEGABYTE:.0f} MB"
        return f"fetching {repository}: {size} ({100 * done / total:.0f} %)"

    def _counting_bar(self) -> type[Any]:
        from huggingface_hub.utils.tqdm import tqdm

        download = self

        class CountingBar(tqdm):
            """A bar of the client, which draws as ever; that of all bytes on disk is counted."""

            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, **options)  # type: ignore[no-untyped-call]
                is_transfer = str(options.get("name", "")).endswith(".transfer")
                self.counts = options.get("unit") == "B" and not is_transfer
                if self.counts:
                    with download._lock:
                        download._bar = self

            def update(self, n: float | None = 1) -> bool | None:
                if self.counts:
                    with download._lock:
                        download._bytes += n or 0
                return super().update(n)  # type: ignore[no-any-return]

        return CountingBar


download = Download()
