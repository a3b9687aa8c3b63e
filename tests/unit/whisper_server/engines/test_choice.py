"""The engines of a plan, and where their models come from."""

from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from tests.support.whisper_stand_in import stand_in_plan
from whisper_server.engines.choice import engines_for, folder_of
from whisper_server.engines.faster_whisper import FasterWhisperEngine
from whisper_server.model_names import MLX, Model

PLAN = stand_in_plan()


def test_each_copy_of_the_model_has_an_engine_that_is_not_loaded_yet() -> None:
    engines = engines_for(Model("base"), replace(PLAN, device_indices=(0, 1, 1)), None)
    assert len(engines) == 3
    assert {type(engine) for engine in engines} == {FasterWhisperEngine}


def test_the_engine_of_apple_is_chosen_by_the_plan() -> None:
    from whisper_server.engines.mlx import MlxEngine

    plan = replace(PLAN, backend=MLX, compute_type="float32")
    [engine] = engines_for(Model("base"), plan, None)
    assert isinstance(engine, MlxEngine)


@pytest.mark.parametrize("backend", [PLAN.backend, MLX])
def test_a_folder_is_used_where_it_lies(backend: str, tmp_path: Path) -> None:
    plan = replace(PLAN, backend=backend)
    assert folder_of(Model("mine", folder=tmp_path), plan, None) == tmp_path


@pytest.mark.parametrize(("backend", "module"), [(PLAN.backend, "faster_whisper"), (MLX, "mlx")])
def test_a_name_is_fetched_in_the_form_of_its_engine(
    backend: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = Mock(return_value=tmp_path)
    monkeypatch.setattr(f"whisper_server.engines.{module}.fetch", fetch)
    downloads = Path("/models")
    assert folder_of(Model("base"), replace(PLAN, backend=backend), downloads) == tmp_path
    fetch.assert_called_once_with("base", downloads)
