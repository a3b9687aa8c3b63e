"""Frames of every rate and layout become 16 kHz mono, as long as they last."""

import av
import numpy as np
import pytest

from stt.media.resampler import Resampler
from stt.media.samples import SAMPLE_RATE


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
