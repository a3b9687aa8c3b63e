"""Numbers as audio: what the chaos tool's stand-in server reads its chunks by."""

import random

import numpy as np
import pytest

from stt.media.audio import SAMPLE_RATE, decode, encode_flac, encode_opus
from tools.chaos_lab import barcode


@pytest.mark.parametrize("number", [0, 1, 6, 7, 4711, 8191, barcode.LARGEST_NUMBER])
def test_a_number_survives_opus(number: int) -> None:
    heard = decode(encode_opus(barcode.encode(number)))
    assert barcode.decode(heard) == [number]


def test_the_numbers_of_a_joined_sequence_are_read_in_their_order() -> None:
    numbers = random.Random(1).sample(range(barcode.LARGEST_NUMBER), 8)
    parts = [decode(encode_opus(barcode.encode(number))) for number in numbers]
    assert barcode.decode(decode(encode_flac(np.concatenate(parts)))) == numbers


@pytest.mark.parametrize("shift_ms", [-8, 8])
def test_a_recording_that_is_off_by_some_milliseconds_is_read_all_the_same(shift_ms: int) -> None:
    samples = np.concatenate([barcode.encode(number) for number in (5, 1000)])
    shifted = np.roll(samples, shift_ms * SAMPLE_RATE // 1000)
    assert barcode.decode(shifted[: -SAMPLE_RATE // 100]) == [5, 1000]


def test_what_is_no_barcode_is_no_number() -> None:
    noise = np.random.default_rng(1).normal(0, 5000, SAMPLE_RATE).astype(np.int16)
    assert barcode.decode(noise) == [None]
    assert barcode.decode(np.zeros(SAMPLE_RATE * 3 // 2, np.int16)) == [None, None]
    assert barcode.decode(np.zeros(0, np.int16)) == [None]


def test_a_single_wrong_slot_is_noticed() -> None:
    samples = barcode.encode(0b1010).copy()
    slot = SAMPLE_RATE // 20
    samples[4 * slot : 5 * slot] = barcode.encode(0)[:slot]  # the third bit, which is off
    assert barcode.decode(samples) == [None]


@pytest.mark.parametrize("number", [-1, barcode.LARGEST_NUMBER + 1])
def test_a_number_that_does_not_fit_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="is not between"):
        barcode.encode(number)
