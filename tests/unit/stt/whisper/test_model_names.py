"""Names that a transcript of a wanted model may be stored under."""

from pathlib import Path

from stt.whisper import model_names
from stt.whisper.model_names import ANY_MODEL, stored_names
from whisper_server.model_names import ALIASES, OPENAI_NAME


def test_the_short_names_are_those_of_the_server() -> None:
    assert model_names.ALIASES == ALIASES
    assert ANY_MODEL == OPENAI_NAME


def test_a_short_name_stands_for_the_long_one_too() -> None:
    assert stored_names("turbo") == {"turbo", "large-v3-turbo"}
    assert stored_names("base") == {"base"}


def test_a_folder_is_called_by_its_own_name(tmp_path: Path) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    assert stored_names(f"{folder}/") == {f"{folder}/", "my-model"}


def test_the_name_that_means_any_model_asks_for_none() -> None:
    assert stored_names(ANY_MODEL) == frozenset()
