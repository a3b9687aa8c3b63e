"""Fit the aligned words of a window to its sound, and find speech that gave no words. Pure.

An alignment is made of a model's attention, and gives every moment of a window to some word: a
pause belongs to the word before it or after it, and a sentence that the model left out to one of
its neighbours. So words are cut to the sound in them, and the rest of the sound is what has no
text.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from whisper_server.engines.base import SAMPLE_RATE, AlignedWord, Samples

Activity = npt.NDArray[np.bool_]
"""Whether there is sound that may be speech; one value for each FRAME_SECONDS of a window."""

FRAME_SECONDS = 0.02
_FRAME = round(FRAME_SECONDS * SAMPLE_RATE)
_SILENCE_DB = -75.0
_THRESHOLD_SHARE = 0.3
"""Where sound begins, between a window's quietest frames and its loudest."""
_LEAST_RISE_DB = 3.0
"""Steady noise varies by less."""
_RANGE_DB = 40.0
"""Sound is no more quiet than that in comparison to the loudest frames."""
_CLOSED_SECONDS = 0.16
"""A silence up to this length is a part of the sound around it: a stop consonant."""
_BURST_SECONDS = 0.04
"""A sound up to this length is a click."""
_PAUSE_SECONDS = 0.2
"""A silence of so long within a word divides it: only one side is the word."""
_STRETCH_SECONDS = 0.4
"""How far the end of a word may move to the end of its sound."""
_WORD_SECONDS = 1.0
_LETTER_SECONDS = 0.12
"""A word lasts at most the first and so much more for each of its letters."""
_STRAY_SECONDS = 0.8
"""How far from its sound a word may have been placed."""
_REACH_SECONDS = 0.3
"""Sound so near to a word belongs to it."""
_GAP_SECONDS = 0.5
"""Sounds that are no farther apart are one stretch of speech."""
MIN_UNCOVERED_SECONDS = 1.0
"""Less sound without a word may be a breath or a cough."""

Stretch = tuple[float, float]
"""Start and end, in seconds from a window's start."""


def active_frames(samples: Samples) -> Activity:
    """Return where a window has sound, by its loudness in comparison to its quietest frames."""
    count = len(samples) // _FRAME
    if not count:
        return np.zeros(0, np.bool_)
    power = np.square(samples[: count * _FRAME].reshape(count, _FRAME)).mean(axis=1)
    level = 10 * np.log10(power + 10 ** (_SILENCE_DB / 10))
    quiet, loud = np.percentile(level, (5, 95))
    active: Activity = level > max(
        quiet + _LEAST_RISE_DB,
        quiet + _THRESHOLD_SHARE * (loud - quiet),
        loud - _RANGE_DB,
        _SILENCE_DB + 6,
    )
    _flip_short(active, False, _CLOSED_SECONDS)
    _flip_short(active, True, _BURST_SECONDS)
    return active


def pauses_in(samples: Samples) -> list[Stretch]:
    """Return the stretches of a window without sound."""
    return _runs(active_frames(samples), False)


def fit(words: Sequence[AlignedWord], activity: Activity) -> tuple[AlignedWord, ...]:
    """Return the words with times that follow the sound; in order, none overlaps the next."""
    runs = _runs(activity, True)
    fitted: list[AlignedWord] = []
    for position, word in enumerate(words):
        earliest = fitted[-1].end if fitted else 0.0
        latest = words[position + 1].start if position + 1 < len(words) else float("inf")
        start, end = _to_sound(max(word.start, earliest), word.end, runs)
        if start >= end or not active_seconds(activity, start, end):
            # It was placed in a pause: its sound is the nearest one, if there is one.
            near = _to_sound(
                max(earliest, word.start - _STRAY_SECONDS), word.end + _STRAY_SECONDS, runs
            )
            if active_seconds(activity, *near):
                start, end = near
        longest = _WORD_SECONDS + _LETTER_SECONDS * len(word.text.strip())
        end = max(start, min(end, start + longest))
        for first, last in runs:  # the word may go on for a moment
            if first < end < last:
                end = max(end, min(last, end + _STRETCH_SECONDS, latest))
        fitted.append(replace(word, start=round(start, 3), end=round(max(start, end), 3)))
    return tuple(fitted)


def uncovered(words: Sequence[AlignedWord], activity: Activity) -> list[Stretch]:
    """Return the stretches of sound without a word in which a sentence may have been lost."""
    rest = activity.copy()
    for word in words:
        first = max(0, round((word.start - _REACH_SECONDS) / FRAME_SECONDS))
        rest[first : round((word.end + _REACH_SECONDS) / FRAME_SECONDS)] = False
    stretches: list[Stretch] = []
    for start, end in _runs(rest, True):
        if stretches and start - stretches[-1][1] <= _GAP_SECONDS:
            stretches[-1] = (stretches[-1][0], end)
        else:
            stretches.append((start, end))
    return [s for s in stretches if active_seconds(rest, *s) >= MIN_UNCOVERED_SECONDS]


def active_seconds(activity: Activity, start: float, end: float) -> float:
    """Return how many seconds of sound lie between two times of a window."""
    first, last = round(start / FRAME_SECONDS), round(end / FRAME_SECONDS)
    return float(activity[first:last].sum()) * FRAME_SECONDS


def _to_sound(start: float, end: float, runs: Sequence[Stretch]) -> Stretch:
    """Return the longest sound between two times; the times themselves if there is none."""
    sounds: list[Stretch] = []
    for first, last in runs:
        sound = max(first, start), min(last, end)
        if sound[0] >= sound[1]:
            continue
        if sounds and sound[0] - sounds[-1][1] < _PAUSE_SECONDS:
            sounds[-1] = (sounds[-1][0], sound[1])
        else:
            sounds.append(sound)
    return max(sounds, key=lambda sound: sound[1] - sound[0], default=(start, max(start, end)))


def _runs(frames: Activity, value: bool) -> list[Stretch]:
    """Return the stretches of frames that have a value."""
    borders = np.flatnonzero(np.diff(frames.astype(np.int8), prepend=2, append=2))
    return [
        (first * FRAME_SECONDS, last * FRAME_SECONDS)
        for first, last in pairwise(borders.tolist())
        if frames[first] == value
    ]


def _flip_short(frames: Activity, value: bool, seconds: float) -> None:
    """Turn runs of a value that last at most so long into the other, but for those at the ends."""
    for start, end in _runs(frames, value):
        first, last = round(start / FRAME_SECONDS), round(end / FRAME_SECONDS)
        if end - start <= seconds + 1e-9 and first > 0 and last < len(frames):
            frames[first:last] = not value
