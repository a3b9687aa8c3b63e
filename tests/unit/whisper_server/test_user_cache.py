"""The folder in the user's cache."""

import tempfile
from pathlib import Path

import pytest

from whisper_server.user_cache import cache_folder


def test_it_is_where_the_user_has_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: tmp_path)
    assert cache_folder() == tmp_path


def test_a_user_without_a_home_has_it_among_temporary_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr("platformdirs.user_cache_path", fail)
    assert cache_folder() == Path(tempfile.gettempdir()) / "stt"


@pytest.mark.parametrize("kind", ["writable by all", "link"])
def test_a_folder_that_another_user_may_have_made_is_not_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    def fail(*_: object, **__: object) -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr("platformdirs.user_cache_path", fail)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    planted, elsewhere = tmp_path / "stt", tmp_path / "elsewhere"
    elsewhere.mkdir()
    if kind == "link":
        planted.symlink_to(elsewhere)
    else:
        planted.mkdir()
        planted.chmod(0o777)
    own = cache_folder()
    assert own.parent == tmp_path
    assert own not in (planted, elsewhere)
    assert own.stat().st_mode & 0o777 == 0o700
    assert cache_folder() == own, "the same within a process"
