"""Versions, permissions and disk space of this machine."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import stt
from stt.doctor.machine import (
    disk_findings,
    permission_findings,
    version_findings,
    written_folders,
)


def test_versions_are_said() -> None:
    [finding] = version_findings()
    assert finding.state == "ok"
    assert all(word in finding.message for word in (f"stt {stt.__version__}", "Python 3", "PyAV"))


def test_a_library_that_cannot_be_loaded_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    [finding] = version_findings()
    assert (finding.state, finding.exit_code) == ("problem", 3)
    assert "pip install" in finding.advice


def test_files_that_others_may_read_are_named_with_the_command(tmp_path: Path) -> None:
    key, folder, own = tmp_path / "key", tmp_path / "data", tmp_path / "own"
    for path, mode in ((key, 0o644), (own, 0o600)):
        path.touch()
        path.chmod(mode)
    folder.mkdir(mode=0o755)
    files = {key: "the key", folder: "recordings", own: "x", tmp_path / "gone": "y"}
    first, second, last = permission_findings(files)
    assert (first.state, first.advice) == ("warning", f"chmod 600 {key}")
    assert (second.state, second.advice) == ("warning", f"chmod 700 {folder}")
    assert (last.state, last.message) == ("ok", "3 files and folders were checked")


def test_files_of_another_user_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: tmp_path.stat().st_uid + 1)
    found = [f.message for f in permission_findings({tmp_path: "x"}) if f.state == "warning"]
    assert any("another user" in text for text in found) is (tmp_path.stat().st_uid != 0)


@pytest.mark.parametrize(
    ("free", "state"), [(10 * 1024**3, "ok"), (1024**3, "warning"), (1024**2, "problem")]
)
def test_a_disk_that_is_nearly_full_is_said_before_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: str
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    [finding] = disk_findings({"uploads": tmp_path, "models": tmp_path / "not" / "there"})
    assert finding.state == state
    assert "uploads, models" in finding.message
    assert finding.exit_code == (1 if state == "problem" else 0)
    assert not (tmp_path / "not").exists()


def test_the_hubs_folder_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", os.sep + "models")
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    assert written_folders(Path("x"))["models"] == Path("/models")
