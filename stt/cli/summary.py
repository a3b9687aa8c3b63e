"""The end of a run in words: `12 recordings, 3h 40m of audio in 11m, 20 × real time`."""

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stt.cli.formatting import plural, span
from stt.cli.progress_bar import real_time
from stt.system.log_context import PLAIN

if TYPE_CHECKING:
    from stt.worker.stats import Stats

_MAX_NAMED = 3

logger = logging.getLogger(__name__)


def in_words(what: str, audio_seconds: float, seconds: float) -> str:
    """Say what was done, how much audio it is, and how fast it went."""
    done = f"{what}, {span(audio_seconds)} of audio in {span(max(seconds, 1.0))}"
    return f"{done}, {real_time(audio_seconds / max(seconds, 1e-3))}" if audio_seconds else done


def with_failed(words: str, failed: Sequence[str]) -> str:
    """Add how many failed, and the first of their names."""
    if not failed:
        return words
    more = len(failed) - _MAX_NAMED
    names = ", ".join(failed[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{words}; {len(failed)} failed: {names}"


class RunSummary:
    """Logs the summary of a worker's run, which begins when this is made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def log(self, stats: "Stats") -> None:
        """Log nothing if no chunk was finished."""
        if not stats.finished:
            return
        what = f"{plural(len(stats.recordings), 'recording')}, {plural(stats.finished, 'chunk')}"
        seconds = time.monotonic() - self._began
        words = in_words(what, stats.seconds, seconds)
        if stats.set_aside:
            words += f"; {plural(stats.set_aside, 'chunk')} failed: `stt status` says why"
        fields = {"audio_seconds": round(stats.seconds, 1), "seconds": round(seconds, 1)}
        logger.info("%s", words, extra={**PLAIN, **fields})
