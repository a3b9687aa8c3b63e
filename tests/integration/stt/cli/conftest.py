"""`stt` in this process, on a real database."""

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
) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONGO_URL", mongo_url)
    monkeypatch.setenv("DATABASE_NAME", database.chunks.database.name)
    monkeypatch.setenv("COLUMNS", "200")
    return Run(monkeypatch, capsys)
