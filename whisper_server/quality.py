"""Whisper's own checks of a window's text, and its ladder of temperatures. Pure.

The rules and their numbers are those of `transcribe.py` in openai-whisper.
"""

from collections.abc import Sequence
from dataclasses import replace

from whisper_server.engines.base import WindowResult

LADDER = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""A window that fails the checks is decoded again, sampled more freely each time."""

MAX_COMPRESSION = 2.4
"""Text that zlib packs tighter goes round in circles."""
MIN_AVG_LOGPROB = -1.0
MAX_NO_SPEECH = 0.6


def next_temperature(attempts: Sequence[WindowResult], ladder: Sequence[float]) -> float | None:
    """At which temperature to try again, or None when the window is done with."""
    if attempts and _will_do(attempts[-1]):
        return None
    return ladder[len(attempts)] if len(attempts) < len(ladder) else None


def best_of(attempts: Sequence[WindowResult]) -> WindowResult:
    """The attempt that counts; without segments when the window is taken for silence."""
    best = attempts[-1]
    if not _will_do(best):
        sober = [attempt for attempt in attempts if not _repeats(attempt)]
        best = max(sober or attempts, key=lambda attempt: attempt.avg_logprob)
    return replace(best, segments=()) if _is_silence(best) else best


def _will_do(attempt: WindowResult) -> bool:
    unlikely = attempt.avg_logprob < MIN_AVG_LOGPROB
    return _is_silence(attempt) or not (_repeats(attempt) or unlikely)


def _repeats(attempt: WindowResult) -> bool:
    return attempt.compression_ratio > MAX_COMPRESSION


def _is_silence(attempt: WindowResult) -> bool:
    """A model that is sure of its text is believed, whatever it thinks of the sound."""
    return attempt.no_speech_prob > MAX_NO_SPEECH and attempt.avg_logprob < MIN_AVG_LOGPROB
