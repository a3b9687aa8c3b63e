"""What stands in place of `-` among the files of a command."""

import io
from pathlib import Path
from unittest.mock import Mock

import pytest

from stt.cli.standard_input import with_standard_input


def test_without_it_the_paths_are_as_they_were_and_it_is_not_read() -> None:
    with with_standard_input([Path("a"), Path("b")], 5) as paths:
        assert paths == [Path("a"), Path("b")]


def test_it_is_read_once_and_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Mock(buffer=io.BytesIO(b"sound"), isatty=lambda: False))
    with with_standard_input([Path("a"), Path("-"), Path("-")], 5) as (first, file):
        assert first == Path("a")
        assert file.read_bytes() == b"sound"
        assert file.stat().st_mtime < file.parent.stat().st_mtime - 5
