"""The engines of a plan, and where their models come from."""

from collections.abc import Sequence
from pathlib import Path

from whisper_server.engines.base import Engine
from whisper_server.model_names import MLX, Model
from whisper_server.presets import EnginePlan


def engines_for(model: Model, plan: EnginePlan, download_folder: Path | None) -> Sequence[Engine]:
    """Return an engine for each copy of the model that the plan has, not loaded yet."""
    if plan.backend == MLX:
        from whisper_server.engines.mlx import MlxEngine  # not installed everywhere

        return [MlxEngine(model, plan, download_folder) for _ in plan.device_indices]
    from whisper_server.engines.faster_whisper import FasterWhisperEngine

    return [
        FasterWhisperEngine(model, plan, index, download_folder) for index in plan.device_indices
    ]


def folder_of(model: Model, plan: EnginePlan, download_folder: Path | None) -> Path:
    """Return the folder of the model's files; fetch the model if it has none.

    Raises ModelUnavailable.
    """
    if model.folder is not None:
        return model.folder
    if plan.backend == MLX:
        from whisper_server.engines import mlx

        return mlx.fetch(model.name, download_folder)
    from whisper_server.engines import faster_whisper

    return faster_whisper.fetch(model.name, download_folder)
