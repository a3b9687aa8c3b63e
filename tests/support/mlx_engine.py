"""Windows for the mlx engine; the plan of the sample model in mlx form."""

from whisper_server.engines.base import Options, Samples, WindowInput
from whisper_server.engines.mlx import MlxEngine
from whisper_server.presets import EnginePlan, Shape

PLAN = EnginePlan("tiny.en", "mlx", "cpu", "float32", Shape(1, 1, 8, "test"), (0,), 4)
WORDS = Options(language="en", word_timestamps=True)


def window(
    engine: MlxEngine, samples: Samples, options: Options, temperature: float = 0.0
) -> WindowInput:
    return WindowInput(engine.features(samples), len(samples) / 16_000, options, temperature)
