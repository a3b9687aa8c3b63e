"""`stt` in this process, and the package's logger."""

import logging
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import Mock

import pytest

from stt.cli import app as program
from stt.store.database import Database

_COMMANDS = ("chunks", "export", "ingest", "search", "status", "transcribe", "worker")
NOWHERE = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100"


class Run:
    """Runs `stt` in this process, as its console script does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *arguments: str) -> int:
        self._monkeypatch.setattr("sys.argv", ["stt", *arguments])
        with pytest.raises(SystemExit) as stopped:
            program.main()
        self.out, self.err = self._capsys.readouterr()
        return int(stopped.value.code or 0)


@pytest.fixture
def stt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    for name in ("MONGO_URL", "DATABASE_NAME", "STT_SERVER_URL", "LEASE_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MONGO_URL", NOWHERE)
    return Run(monkeypatch, capsys)


@pytest.fixture
def no_database(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Return what the commands open in place of a database."""
    database = Mock(Database)
    for name in _COMMANDS:
        monkeypatch.setattr(f"stt.cli.{name}.open_database", lambda *_, **__: nullcontext(database))
    return database


@pytest.fixture
def log() -> logging.Logger:
    """A logger of the package."""
    return logging.getLogger("stt.worker.worker")
