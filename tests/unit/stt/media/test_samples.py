"""Silence, blocks that are joined, and the rates that are taken."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt.errors import BadAudio
from stt.media.samples import SAMPLE_RATE, joined, require_sample_rate, silence


@pytest.mark.parametrize("rate", [-1, 0, 1, 999, 768_001, 2**31 - 1])
def test_a_rate_beyond_reason_is_refused(rate: int) -> None:
    with pytest.raises(BadAudio, match=f"cannot be right: {rate} Hz"):
        require_sample_rate(rate)


def test_silence_comes_a_second_at_a_time() -> None:
    blocks = list(silence(2.5))
    assert [len(block) for block in blocks] == [SAMPLE_RATE, SAMPLE_RATE, SAMPLE_RATE // 2]
    assert not np.concatenate(blocks).any()
    assert list(silence(-1)) == []


@given(st.lists(st.integers(0, 50)), st.integers(1, 100))
def test_joined_blocks_hold_the_same_samples_and_all_but_the_last_are_large(
    lengths: list[int], least: int
) -> None:
    blocks = [np.full(length, number, np.int16) for number, length in enumerate(lengths)]
    found = list(joined(blocks, least))
    assert np.array_equal(np.concatenate([*found, []]), np.concatenate([*blocks, []]))
    assert all(len(block) >= least for block in found[:-1])
    assert all(len(block) > 0 for block in found)
