"""What stands in place of `-` among the files of a command."""

import io
import logging
from pathlib import Path
from unittest.mock import Mock

import pytest

from stt.cli.console import print_note
from stt.cli.log_lines import JsonFormatter, TextFormatter
from stt.cli.standard_input import shown, with_standard_input


def test_without_it_the_paths_are_as_they_were_and_it_is_not_read() -> None:
    with with_standard_input([Path("a"), Path("b")], 5) as paths:
        assert paths == [Path("a"), Path("b")]


def test_it_is_read_once_and_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Mock(buffer=io.BytesIO(b"sound"), isatty=lambda: False))
    with with_standard_input([Path("a"), Path("-"), Path("-")], 5) as (first, file):
        assert first == Path("a")
        assert file.read_bytes() == b"sound"
        assert file.stat().st_mtime < file.parent.stat().st_mtime - 5


def test_messages_name_it_and_not_the_file_that_holds_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Mock(buffer=io.BytesIO(b"sound"), isatty=lambda: False))
    with with_standard_input([Path("-")], 5) as (file,):
        text = f"{file}: not audio"
    record = logging.LogRecord("stt", logging.WARNING, "", 1, "%s", (text,), None)
    line = TextFormatter(on_terminal=True).format(record)
    assert line.endswith("  Warning: standard input: not audio")
    assert '"message": "standard input: not audio"' in JsonFormatter().format(record)
    print_note(f"Error: {text}")
    assert capsys.readouterr().err == "Error: standard input: not audio\n"
    assert shown("/home/ann/stdin/stdin") == "/home/ann/stdin/stdin"
