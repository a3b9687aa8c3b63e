"""Whisper's own checks of a window's text, and its ladder of temperatures. Pure.

The rules and their numbers are those of `transcribe.py` in openai-whisper.
"""

from collections.abc import Sequence
from dataclasses import replace

from whisper_server.engines.base import Options, WindowResult

LADDER = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""A window that fails the checks is decoded again, sampled more freely each time."""

MAX_COMPRESSION = 2.4
"""Text that zlib compresses more than that repeats itself."""
MIN_AVG_LOGPROB = -1.0
MAX_NO_SPEECH = 0.6


def ladder_of(options: Options) -> tuple[float, ...]:
    """Return the temperatures to try: the given one alone, or for 0 all of Whisper's."""
    return (options.temperature,) if options.temperature else LADDER


def next_temperature(attempts: Sequence[WindowResult], ladder: Sequence[float]) -> float | None:
    """Return the temperature at which to try again, or None when the window is done."""
    if attempts and _is_acceptable(attempts[-1]):
        return None
    return ladder[len(attempts)] if len(attempts) < len(ladder) else None


def best_of(attempts: Sequence[WindowResult]) -> WindowResult:
    """Return the best attempt; without segments if the window counts as silence."""
    best = attempts[-1]
    if not _is_acceptable(best):
        not_repeating = [attempt for attempt in attempts if not _repeats(attempt)]
        best = max(not_repeating or attempts, key=lambda attempt: attempt.avg_logprob)
    return replace(best, segments=()) if _is_silence(best) else best


def _is_acceptable(attempt: WindowResult) -> bool:
    unlikely = attempt.avg_logprob < MIN_AVG_LOGPROB
    return _is_silence(attempt) or not (_repeats(attempt) or unlikely)


def _repeats(attempt: WindowResult) -> bool:
    return attempt.compression_ratio > MAX_COMPRESSION


def _is_silence(attempt: WindowResult) -> bool:
    """Return whether there is no speech; a likely text is speech at any `no_speech_prob`."""
    return attempt.no_speech_prob > MAX_NO_SPEECH and attempt.avg_logprob < MIN_AVG_LOGPROB
