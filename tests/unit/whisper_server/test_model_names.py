"""Names of models."""

from pathlib import Path

import pytest
from faster_whisper import available_models

from whisper_server.errors import ModelUnavailable
from whisper_server.model_names import ALIASES, SIZES, Model, backend_of, find_model


def test_the_sizes_are_those_of_faster_whisper() -> None:
    assert {*SIZES, *ALIASES} == set(available_models())


def test_an_alias_stands_for_its_model() -> None:
    assert find_model("turbo") == Model("large-v3-turbo")


def test_a_hub_id_is_left_to_the_hub() -> None:
    assert find_model("Systran/faster-whisper-base") == Model("Systran/faster-whisper-base")


def test_a_whole_folder_is_a_model_by_its_own_name(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt"):
        (folder / name).touch()
    assert find_model(str(folder)) == Model("mine", folder)


def test_a_folder_with_weights_comes_before_a_size_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("base").mkdir()
    assert find_model("base") == Model("base"), "a folder of other things is no model"
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt"):
        (Path("base") / name).touch()
    assert find_model("base") == Model("base", Path("base"))
    assert backend_of("base") == "faster-whisper"


def test_a_broken_folder_is_named_with_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    with pytest.raises(ModelUnavailable, match=r"lacks model\.bin, tokenizer\.json, vocabulary"):
        find_model(str(tmp_path))


@pytest.mark.parametrize("name", ["nope", "./gone", "/gone/too", "../a/b", ""])
def test_an_unknown_name_says_what_could_be_chosen(name: str) -> None:
    with pytest.raises(ModelUnavailable, match="large-v3-turbo"):
        find_model(name)


def test_a_model_answers_to_its_name_its_alias_and_openais_name() -> None:
    model = Model("large-v3-turbo")
    assert all(model.answers_to(name) for name in ("large-v3-turbo", "turbo", "whisper-1"))
    assert not model.answers_to("base")


def test_a_folder_in_mlx_form_is_a_model_too(tmp_path: Path) -> None:
    for name in ("config.json", "weights.safetensors"):
        (tmp_path / name).touch()
    assert find_model(str(tmp_path)) == Model(tmp_path.name, tmp_path)
    assert backend_of(str(tmp_path)) == "mlx"


def test_the_files_of_a_model_say_which_engine_they_are_for(tmp_path: Path) -> None:
    assert backend_of("mlx-community/whisper-large-v3-turbo") == "mlx"
    (tmp_path / "config.json").touch()
    (tmp_path / "model.bin").touch()
    assert backend_of(str(tmp_path)) == "faster-whisper"


@pytest.mark.parametrize("name", ["base", "turbo", "somebody/whisper-of-theirs", "", "gone"])
def test_a_mere_name_is_for_any_engine(name: str) -> None:
    assert backend_of(name) is None


def test_a_folder_in_both_forms_is_for_either_engine(tmp_path: Path) -> None:
    for name in ("config.json", "weights.npz", "model.bin"):
        (tmp_path / name).touch()
    assert backend_of(str(tmp_path)) is None
