"""Samples: 16 kHz mono, silence among them, and blocks of them joined."""

import math
from collections.abc import Iterable, Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from stt.errors import BadAudio

SAMPLE_RATE = 16_000
"""Samples per second, everywhere: what Whisper was trained on."""

Samples: TypeAlias = NDArray[np.int16]
"""Mono audio at SAMPLE_RATE, shape (n,)."""

SAMPLE_RATES = range(1_000, 768_001)
"""Rates in Hz that are decoded. A header that claims 1 Hz would turn one frame into gigabytes of
samples; one that claims gigahertz would make the resampler build filters of gigabytes."""


def decibels(samples: Samples) -> float:
    """Return the loudness, 0 for a full scale square wave; at least -100."""
    power = float(np.square(samples, dtype=np.float64).mean()) if len(samples) else 0.0
    return 10 * math.log10(power / 32_768**2 + 1e-10)


def silence(seconds: float) -> Iterator[Samples]:
    """Yield zeros for `seconds`, a second at a time: a file may claim any number of them."""
    left = round(seconds * SAMPLE_RATE)
    while left > 0:
        yield np.zeros(min(left, SAMPLE_RATE), np.int16)
        left -= SAMPLE_RATE


def joined(blocks: Iterable[Samples], min_samples: int) -> Iterator[Samples]:
    """Join small blocks to blocks of at least `min_samples`, but for the last."""
    waiting: list[Samples] = []
    count = 0
    for block in blocks:
        waiting.append(block)
        count += len(block)
        if count >= min_samples:
            yield np.concatenate(waiting)
            waiting, count = [], 0
    if count:
        yield np.concatenate(waiting)


def require_sample_rate(rate: int) -> None:
    """Raise BadAudio unless `rate` is one of SAMPLE_RATES."""
    if rate not in SAMPLE_RATES:
        raise BadAudio(f"a sample rate that cannot be right: {rate} Hz")
