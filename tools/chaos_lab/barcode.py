"""A number as one second of tone and silence, which survives Opus and is read back from a joined
recording: so a stand-in server can say which chunks it was sent.

Twenty slots of 50 ms: on, off, the number's bits, its check sum's bits, off.
"""

import numpy as np

from stt.media.audio import SAMPLE_RATE, Samples

SECONDS = 1.0
LARGEST_NUMBER = 2**14 - 1
_NUMBER_BITS = 14
_CHECK_BITS = 3
_CHECK_MODULUS = 7
_SLOTS = 20
_SLOT = SAMPLE_RATE // _SLOTS
_EDGE = _SLOT // 5
_HERTZ = 1_000
_LOUD = 8_000.0
_HEARD = 2_000.0
"""Between the loudness (RMS) of a tone, about 5,700, and what Opus leaves in a silent slot."""


def encode(number: int) -> Samples:
    """One second of audio. Raises ValueError for a number that does not fit."""
    if not 0 <= number <= LARGEST_NUMBER:
        raise ValueError(f"{number} is not between 0 and {LARGEST_NUMBER}")
    times = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tone = _LOUD * np.sin(2 * np.pi * _HERTZ * times)
    keyed: Samples = (tone * np.repeat(_slots_of(number), _SLOT)).astype(np.int16)
    return keyed


def decode(samples: Samples) -> list[int | None]:
    """The number of each second; None for a second that holds none, such as speech."""
    count = max(1, round(len(samples) / SAMPLE_RATE))
    padded = np.pad(samples, (0, max(0, count * SAMPLE_RATE - len(samples))))
    return [_read(padded[at * SAMPLE_RATE : (at + 1) * SAMPLE_RATE]) for at in range(count)]


def _slots_of(number: int) -> list[int]:
    check = number % _CHECK_MODULUS
    bits = [number >> bit & 1 for bit in range(_NUMBER_BITS)]
    return [1, 0, *bits, *(check >> bit & 1 for bit in range(_CHECK_BITS)), 0]


def _read(second: Samples) -> int | None:
    # The edges of a slot are left out: a codec smears them, and its delay may be off by some ms.
    cores = second.reshape(_SLOTS, _SLOT)[:, _EDGE:-_EDGE].astype(np.float64)
    heard = [int(loudness > _HEARD) for loudness in np.sqrt(np.mean(cores**2, axis=1))]
    number = sum(bit << at for at, bit in enumerate(heard[2 : 2 + _NUMBER_BITS]))
    return number if heard == _slots_of(number) else None
