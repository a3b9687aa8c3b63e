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
