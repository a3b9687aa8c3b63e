"""Names that a transcript of a wanted model may be stored under."""

from pathlib import Path

import pytest

from stt.errors import WrongFlag
from stt.whisper import model_names
from stt.whisper.model_names import ANY_MODEL, check_local_model, stored_names
from whisper_server.errors import ModelUnavailable
from whisper_server.model_names import ALIASES, OPENAI_NAME, SIZES, find_model


def test_the_short_names_are_those_of_the_server() -> None:
    assert model_names.ALIASES == ALIASES
    assert model_names.SIZES == SIZES
    assert ANY_MODEL == OPENAI_NAME


@pytest.mark.parametrize("name", ["base", "turbo", "Systran/faster-whisper-base", "sub"])
def test_what_the_server_takes_for_a_model_is_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "config.json").touch()
    (tmp_path / "sub" / "weights.npz").touch()
    find_model(name)
    check_local_model(name)


@pytest.mark.parametrize("name", ["lagre", "gpt-4o", ".hidden/model", "a/b/c", "base ", ""])
def test_what_the_server_refuses_is_refused_before_one_starts(name: str) -> None:
    with pytest.raises(ModelUnavailable):
        find_model(name)
    with pytest.raises(WrongFlag, match="no model"):
        check_local_model(name)


def test_a_short_name_stands_for_the_long_one_too() -> None:
    assert stored_names("turbo") == {"turbo", "large-v3-turbo"}
    assert stored_names("base") == {"base"}


def test_a_folder_is_called_by_its_own_name(tmp_path: Path) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    assert stored_names(f"{folder}/") == {f"{folder}/", "my-model"}


def test_the_name_that_means_any_model_asks_for_none() -> None:
    assert stored_names(ANY_MODEL) == frozenset()
