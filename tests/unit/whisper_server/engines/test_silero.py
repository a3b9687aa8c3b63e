"""Voice detection on real speech."""

import numpy as np
import pytest

from tests.support.faster_whisper_engine import as_float
from tests.support.speech import BIRTHDAY, INVOICE, MEETING, MILK
from whisper_server.engines.base import SAMPLE_RATE, Samples
from whisper_server.engines.silero import find_speech


def seconds_of_nothing(seconds: float) -> Samples:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


@pytest.fixture(scope="module")
def speech() -> Samples:
    """Five sentences without a pause between them."""
    parts = [part.samples() for part in (MILK, INVOICE, MEETING, BIRTHDAY, MILK)]
    return as_float(np.concatenate(parts))


@pytest.mark.parametrize("seconds", [0, 0.001, 0.5, 20])
def test_nobody_speaks_in_silence(seconds: float) -> None:
    assert find_speech(seconds_of_nothing(seconds), 30.0) == []


def test_a_long_pause_parts_two_spans_and_a_short_one_does_not(speech: Samples) -> None:
    three = speech[: 3 * SAMPLE_RATE]
    apart = np.concatenate([three, seconds_of_nothing(3), three])
    together = np.concatenate([three, seconds_of_nothing(0.2), three])
    first, second = find_speech(apart, 30.0)
    assert first.start + first.length < second.start
    assert second.start < 6 * SAMPLE_RATE < second.start + second.length
    assert len(find_speech(together, 30.0)) == 1


@pytest.mark.parametrize("window_seconds", [3.0, 10.0])
def test_spans_fit_the_window_and_lie_in_order_within_the_piece(
    speech: Samples, window_seconds: float
) -> None:
    spans = find_speech(speech, window_seconds)
    assert sum(span.length for span in spans) > 0.9 * len(speech)
    assert all(0 < span.length <= window_seconds * SAMPLE_RATE for span in spans)
    ends = [0, *(span.start + span.length for span in spans)]
    assert all(end <= span.start for end, span in zip(ends, spans, strict=False))
    assert ends[-1] <= len(speech)


def test_it_can_be_warmed_up_before_there_is_work() -> None:
    from faster_whisper.vad import get_vad_model

    find_speech(np.zeros(SAMPLE_RATE, np.float32), 1.0)
    assert get_vad_model.cache_info().currsize == 1
