"""The database of a command, shown without its password."""

from pathlib import Path

import pytest

from stt.cli.database import place_of
from stt.settings import load_settings
from tests.unit.stt.cli.conftest import Run


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mongodb://db", "stt at mongodb://db"),
        ("mongodb://ann:s3cret@db1:27017,db2/admin?tls=true", "stt at mongodb://db1:27017,db2"),
        ("mongodb+srv://ann:s3%40cret@db/?appName=s3cret", "stt at mongodb+srv://db"),
    ],
)
def test_the_place_of_the_database_is_shown_without_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, shown: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_NAME", raising=False)
    assert place_of(load_settings(mongo_url=url)) == shown


def test_a_wrong_url_does_not_print_its_password(stt: Run) -> None:
    assert stt("status", "--mongo-url", "mongodb://ann:s3cret@db:port") == 3
    assert "s3cret" not in stt.err + stt.out
