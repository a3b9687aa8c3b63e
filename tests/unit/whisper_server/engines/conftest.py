"""Engines with real weights, loaded once, and speech for them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import mlx_engine as mlx
from tests.support.faster_whisper_engine import DIARY, PLAN, as_float, loaded_engine, samples_of
from tests.support.mlx_model import mlx_model
from tests.support.models import base_model
from tests.support.speech import BIRTHDAY, MILK
from whisper_server.audio_windows import Window, cut_into_windows
from whisper_server.engines.base import SAMPLE_RATE, Samples, WindowResult
from whisper_server.engines.faster_whisper import FasterWhisperEngine
from whisper_server.engines.mlx import MlxEngine
from whisper_server.engines.silero import find_speech
from whisper_server.model_names import find_model


@pytest.fixture(scope="session")
def engine() -> FasterWhisperEngine:
    return loaded_engine()


@pytest.fixture
def model(engine: FasterWhisperEngine) -> Any:
    """CTranslate2's model within the engine, for tests that stand in its way."""
    return engine._whisper.model


@pytest.fixture(scope="session")
def multilingual() -> FasterWhisperEngine:
    """The engine with the multilingual model, for tests marked `words`."""
    return loaded_engine(replace(PLAN, model="base"), base_model())


@pytest.fixture(scope="session")
def speech() -> Samples:
    return as_float(MILK.samples())


@pytest.fixture(scope="session")
def windows() -> list[Window]:
    """Four of them, of unlike lengths, in no order that tells the longest."""
    diary = [samples_of(DIARY)[: 50 * SAMPLE_RATE]]
    pieces = cut_into_windows(diary, 12.0, find_speech)
    return [window for piece in pieces for window in piece][:4]


@pytest.fixture(scope="session")
def mlx_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mlx_model(tmp_path_factory.mktemp("models") / "tiny.en-mlx", window_seconds=10)


@pytest.fixture(scope="session")
def mlx_engine(mlx_folder: Path) -> MlxEngine:
    loaded = MlxEngine(find_model(str(mlx_folder)), mlx.PLAN)
    loaded.load()
    return loaded


@pytest.fixture(scope="session")
def mlx_multilingual(tmp_path_factory: pytest.TempPathFactory) -> MlxEngine:
    """The engine with the multilingual model, for tests marked `words`."""
    path = tmp_path_factory.mktemp("models") / "base-mlx"
    folder = mlx_model(path, window_seconds=10, source=Path(base_model()))
    loaded = MlxEngine(find_model(str(folder)), mlx.PLAN)
    loaded.load()
    return loaded


@pytest.fixture(scope="session")
def birthday() -> Samples:
    return as_float(BIRTHDAY.samples())


@pytest.fixture(scope="session")
def crowd(mlx_engine: MlxEngine, speech: Samples, birthday: Samples) -> list[WindowResult]:
    """Three windows of different length in one batch."""
    quiet = np.zeros(8_000, np.float32)
    samples = (speech, birthday, np.concatenate([quiet, speech]))
    return mlx_engine.decode([mlx.window(mlx_engine, each, mlx.WORDS) for each in samples])
