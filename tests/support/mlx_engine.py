"""Windows and results of the mlx engine; the plan of the sample model in mlx form."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from whisper_server.engines.base import Options, Samples, WindowInput, WindowResult
from whisper_server.engines.mlx import MlxEngine
from whisper_server.presets import EnginePlan, Shape

PLAN = EnginePlan("tiny.en", "mlx", "cpu", "float32", Shape(1, 1, 8, "test"), (0,), 4)
WORDS = Options(language="en", word_timestamps=True)


def window(
    engine: MlxEngine, samples: Samples, options: Options, temperature: float = 0.0
) -> WindowInput:
    return WindowInput(engine.features(samples), len(samples) / 16_000, options, temperature)


def assert_same(found: Sequence[WindowResult], expected: Sequence[WindowResult]) -> None:
    """Assert that these are the same, but for the last digits of probabilities.

    Those depend on the shape of a product of matrices.
    """
    assert list(map(_without_probabilities, found)) == list(map(_without_probabilities, expected))
    assert _probabilities(found) == pytest.approx(_probabilities(expected), abs=1e-4)


def _without_probabilities(result: WindowResult) -> WindowResult:
    words = tuple(replace(word, probability=0.0) for word in result.words)
    return replace(result, words=words, avg_logprob=0.0, no_speech_prob=0.0)


def _probabilities(results: Sequence[WindowResult]) -> list[float]:
    return [
        number
        for one in results
        for number in (one.avg_logprob, one.no_speech_prob, *(w.probability for w in one.words))
    ]
