"""From Whisper's tokens, text between time stamps, to segments with sound numbers. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

SECONDS_PER_STAMP = 0.02
"""The first time stamp token is 0.00, each next one so much later."""


@dataclass(frozen=True)
class Slice:
    """What was heard between two times, in seconds; `tokens` has the stamps in it."""

    start: float
    end: float
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Split:
    """`unheard_from`: the model closed its last segment, opened one there, and left it empty.

    It does so when the audio ends within a sentence: what follows has to be decoded again.
    """

    slices: tuple[Slice, ...]
    unheard_from: float | None


def split_at_stamps(tokens: Sequence[int], first_stamp: int, seconds: float) -> Split:
    """Cuts wherever a stamp follows a stamp; text behind the last one lasts till `seconds`.

    Unlike Whisper's own rule this one keeps an unclosed last segment. Segments that end where
    they start are left out, as Whisper does: nobody says anything in no time.
    """
    is_stamp = [token >= first_stamp for token in tokens]
    borders = [i for i in range(1, len(tokens)) if is_stamp[i - 1] and is_stamp[i]]
    slices = []
    start = 0.0
    for first, behind in zip([0, *borders], [*borders, len(tokens)], strict=True):
        part = tuple(tokens[first:behind])
        stamps = [
            (token - first_stamp) * SECONDS_PER_STAMP for token in part if token >= first_stamp
        ]
        if part and is_stamp[first]:
            start = stamps.pop(0)
        end = stamps[-1] if stamps else max(start, seconds)
        if any(token < first_stamp for token in part) and (end > start or not stamps):
            slices.append(Slice(start, end, part))
        start = end
    opened_last = len(tokens) >= 2 and is_stamp[-2] and is_stamp[-1]
    unheard_from = (tokens[-1] - first_stamp) * SECONDS_PER_STAMP if opened_last else None
    return Split(tuple(slices), unheard_from)


def without_broken_tail(tokens: list[int], first_stamp: int) -> list[int]:
    """Of text that had no room for more: up to where its last, unclosed segment opens.

    Whole if no segment before that one was closed: hearing it again would break off there again.
    """
    if tokens and tokens[-1] < first_stamp:
        for end in range(len(tokens) - 1, 1, -1):
            if min(tokens[end - 2 : end]) > first_stamp:
                return tokens[:end]
    return tokens


def within(start: float, end: float, seconds: float) -> tuple[float, float]:
    """Whisper may place an end in the padding behind the audio: bring it back."""
    first = min(max(0.0, float(start)), seconds)
    return round(first, 3), round(min(max(first, float(end)), seconds), 3)


def finite(number: float) -> float:
    """JSON knows no NaN; a window without tokens may have one."""
    return float(number) if math.isfinite(number) else 0.0
