"""Frames of every rate and layout become 16 kHz mono, as long as they last."""

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt.errors import BadAudio
from stt.media.samples import SAMPLE_RATE, Resampler, joined, require_sample_rate, silence


def tone(
    rate: int, layout: str = "mono", form: str = "s16", seconds: float = 0.02
) -> av.AudioFrame:
    times = np.arange(round(rate * seconds)) / rate
    channels = {"mono": 1, "stereo": 2}[layout]
    wave = np.tile(0.5 * np.sin(2 * np.pi * 440 * times), (channels, 1))
    packed = wave.T.reshape(1, -1)
    samples = (packed * 32_767).astype(np.int16) if form == "s16" else packed.astype(np.float32)
    frame = av.AudioFrame.from_ndarray(samples, format=form, layout=layout)
    frame.sample_rate = rate
    return frame


@pytest.mark.parametrize("rate", [1_000, 8_000, 11_025, 16_000, 44_100, 48_000, 768_000])
@pytest.mark.parametrize("layout", ["mono", "stereo"])
@pytest.mark.parametrize("form", ["s16", "flt"])
def test_as_many_samples_come_out_as_the_frames_last(rate: int, layout: str, form: str) -> None:
    frames = [tone(rate, layout, form) for _ in range(50)]
    resampler = Resampler(frames[0])
    blocks = [resampler.push(frame) for frame in frames]
    samples = np.concatenate([*blocks, resampler.finish()])
    assert samples.dtype == np.int16
    assert len(samples) == round(sum(frame.samples for frame in frames) * SAMPLE_RATE / rate)
    assert 5_000 < np.abs(samples).max() < 32_767


def test_a_resampler_takes_frames_of_one_form_only() -> None:
    resampler = Resampler(tone(48_000, "stereo"))
    assert resampler.takes(tone(48_000, "stereo"))
    assert not resampler.takes(tone(44_100, "stereo"))
    assert not resampler.takes(tone(48_000, "mono"))
    assert not resampler.takes(tone(48_000, "stereo", "flt"))


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
