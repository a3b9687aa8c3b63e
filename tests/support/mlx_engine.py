"""Speech for the mlx engine, as windows; the plan of the demo model in mlx form."""

import io
from pathlib import Path

import numpy as np

from tests.support.speech import speak
from tests.support.uploads import decode
from whisper_server.engines.base import Options, Samples, WindowInput
from whisper_server.engines.mlx import MlxEngine
from whisper_server.model_names import DEMO
from whisper_server.presets import EnginePlan, Shape

PLAN = EnginePlan(DEMO, "mlx", "cpu", "float32", Shape(1, 1, 8, "test"), (0,), 4)


WORDS = Options(language="en", word_timestamps=True)
NUMBERS, LETTERS = "one two three", "alpha bravo charlie delta"


def spoken(text: str, folder: Path) -> Samples:
    """With a quarter of a second of silence around, as a window has it."""
    path = speak(text, folder / "speech.wav")
    samples = decode(io.BytesIO(path.read_bytes()))
    return np.pad(samples, 4_000)


def window(
    engine: MlxEngine, samples: Samples, options: Options, temperature: float = 0.0
) -> WindowInput:
    return WindowInput(engine.features(samples), len(samples) / 16_000, options, temperature)
