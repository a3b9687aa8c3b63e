"""The lines of `--verbose` about a run: its mode, each chunk, the progress, how much went well."""

import logging
from collections.abc import Callable

from stt.domain.transcript import Transcript
from stt.settings import Settings
from stt.worker.stats import Stats

logger = logging.getLogger(__name__)


class RunLog:
    """Logs a run at level debug; `total` returns its chunks, None while they are not counted.

    Safe between threads.
    """

    def __init__(self, stats: Stats, total: Callable[[], int | None]) -> None:
        self._stats = stats
        self._total = total
        self._logged = 0
        self._is_over = False

    def started(self, settings: Settings, calls: int, servers: str) -> None:
        recordings = settings.max_concurrent_jobs
        logger.debug(
            "Mode: %s, %d call(s) at once, %s recording(s) at once, model %s, %s",
            "parallel" if calls > 1 else "one at a time",
            calls,
            "any" if recordings is None else recordings,
            settings.model or "of the server",
            servers,
        )

    def completed(self, transcript: Transcript, seconds: float) -> None:
        """Note that a chunk has its transcript, `seconds` after a thread took it up."""
        characters = sum(len(segment.text) for segment in transcript.segments)
        logger.debug("[%s] completed in %.1f s: %d chars", self._count(), seconds, characters)

    def progress(self) -> None:
        """Note that a thread is through with its chunks."""
        if self._stats.finished == self._logged or self._is_over:
            return
        self._logged, total = self._stats.finished, self._total()
        percent = f" ({100 * self._stats.finished / total:.1f} %)" if total else ""
        logger.debug("Progress: %s%s", self._count(), percent)

    def ended(self) -> None:
        self._is_over = True  # threads that were abandoned may go on
        good, bad = self._stats.succeeded_chunks, self._stats.failing_chunks
        if tried := good + bad:
            logger.debug("Success rate: %.1f %% (%d/%d)", 100 * good / tried, good, tried)

    def _count(self) -> str:
        total = self._total()
        return f"{self._stats.finished}" if total is None else f"{self._stats.finished}/{total}"
