"""`stt` in this process, on a real database."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from stt.store.database import Database
from tests.unit.stt.cli.conftest import Run


@pytest.fixture
def stt(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    mongo_url: str,
    database: Database,
) -> Iterator[Run]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONGO_URL", mongo_url)
    monkeypatch.setenv("DATABASE_NAME", database.chunks.database.name)
    monkeypatch.setenv("COLUMNS", "200")
    package = logging.getLogger("stt")
    handlers, level = list(package.handlers), package.level
    yield Run(monkeypatch, capsys)
    package.handlers = handlers
    package.setLevel(level)
