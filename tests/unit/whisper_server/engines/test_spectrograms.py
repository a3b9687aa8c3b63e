"""Spectrograms in comparison to faster-whisper's."""

import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor

from tests.support.faster_whisper_engine import DIARY, samples_of
from whisper_server.engines import spectrograms
from whisper_server.engines.base import SAMPLE_RATE, Samples
from whisper_server.engines.spectrograms import Spectrograms

BLOCK_SECONDS = spectrograms._BLOCK_FRAMES / 100


@pytest.fixture(scope="module")
def diary() -> Samples:
    return samples_of(DIARY)


@pytest.mark.parametrize("bands", [80, 128])
@pytest.mark.parametrize(
    "seconds", [0, 1 / SAMPLE_RATE, 0.01, 0.3, BLOCK_SECONDS - 0.01, BLOCK_SECONDS, 7.77, 30, 40]
)
def test_they_are_those_of_faster_whisper(diary: Samples, bands: int, seconds: float) -> None:
    """Bit by bit: near a tie the last digit decides about a comma."""
    samples = diary[: round(seconds * SAMPLE_RATE)]
    theirs = FeatureExtractor(feature_size=bands)(samples)
    assert np.array_equal(Spectrograms(feature_size=bands)(samples), theirs)


def test_silence_is_that_of_faster_whisper() -> None:
    silence = np.zeros(SAMPLE_RATE, np.float32)
    assert np.array_equal(Spectrograms()(silence), FeatureExtractor()(silence))
