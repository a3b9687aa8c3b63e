"""The engines that a plan asks for, and where their models come from."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from whisper_server.engines.base import Engine
from whisper_server.model_names import MLX, Model
from whisper_server.presets import EnginePlan


def engines_for(model: Model, plan: EnginePlan, download_folder: Path | None) -> Sequence[Engine]:
    """One for each copy that the plan asks for, not loaded yet."""
    if plan.backend == MLX:
        from whisper_server.engines.mlx import MlxEngine  # not installed everywhere

        return [MlxEngine(model, plan, download_folder) for _ in plan.device_indices]
    from whisper_server.engines.faster_whisper import FasterWhisperEngine

    return [
        FasterWhisperEngine(model, plan, index, download_folder) for index in plan.device_indices
    ]


def folder_of(model: Model, plan: EnginePlan, download_folder: Path | None) -> Path:
    """Where the model's files are; fetched with the hub's progress bars if they are not here yet.

    Raises `ModelUnavailable`.
    """
    if model.folder is not None:
        return model.folder
    if plan.backend == MLX:
        from whisper_server.engines import mlx

        return Path(mlx.fetch(model.name, download_folder))
    from whisper_server.engines import faster_whisper

    with _progress_bars():
        return Path(faster_whisper.fetch(model.name, download_folder))


@contextmanager
def _progress_bars() -> Iterator[None]:
    """faster-whisper hands the hub a class that draws nothing: hand it the hub's own instead."""
    from faster_whisper import utils
    from huggingface_hub.utils.tqdm import tqdm

    silent = utils.disabled_tqdm
    utils.disabled_tqdm = tqdm
    try:
        yield
    finally:
        utils.disabled_tqdm = silent
