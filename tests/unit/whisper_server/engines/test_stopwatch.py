"""How fast a shape decodes, timed on real weights."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.models import sample_folder
from tests.support.whisper_stand_in import Patched
from whisper_server.engines.stopwatch import Stopwatch
from whisper_server.errors import ModelUnavailable
from whisper_server.presets import EnginePlan, Shape

PLAN = EnginePlan("tiny.en", "faster-whisper", "cpu", "int8", Shape(2, 1, 1, "preset"), (0,), 4)


def test_a_window_costs_as_many_steps_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Stopwatch(sample_folder(), replace(PLAN, shape=Shape(1, 1, 1, "x")))
    lengths: list[int] = []
    generate = watch._model.generate

    def spying(*arguments: object, **options: object) -> object:
        found = generate(*arguments, **options)
        lengths.extend(len(result.sequences_ids[0]) for result in found)
        return found

    monkeypatch.setattr(watch, "_model", Patched(watch._model, generate=spying))
    assert watch.windows_per_second(batch_size=2, seconds=0, steps=30) > 0
    assert lengths == [2, 30, 30]  # the warm-up, and one batch of two


def test_a_model_that_cannot_be_loaded_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="cannot be timed"):
        Stopwatch(tmp_path, PLAN)
