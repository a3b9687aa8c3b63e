"""Where the database is, without starting one."""

import fcntl
from pathlib import Path

import pytest

from stt.errors import ConfigError
from stt.local.place import database_place, place_of
from stt.settings import Settings, load_settings


def settings(**changes: object) -> Settings:
    return Settings(_env_file=None, mongo_url=None).model_copy(update=changes)  # type: ignore[call-arg]


def test_a_place_has_no_password() -> None:
    url = "mongodb://ann:hunter2@a:1,b:2/admin?replicaSet=rs0"
    named = Settings(_env_file=None, mongo_url=url)  # type: ignore[call-arg, arg-type]
    assert place_of(named) == "stt at mongodb://a:1,b:2"
    place = database_place(named)
    assert (place.text, place.url, place.is_embedded) == ("at mongodb://a:1,b:2", url, False)
    assert "hunter2" not in place.text


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


def test_an_embedded_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    place = database_place(settings(data_dir=tmp_path / "data"))
    assert place.url is None
    assert place.is_embedded
    assert "none yet" in place.text
    assert not list(tmp_path.iterdir())


def test_one_at_rest_is_not_started(tmp_path: Path) -> None:
    (tmp_path / "database").mkdir()
    (tmp_path / "database.server").touch()
    (tmp_path / "database.port").write_text("1")
    place = database_place(settings(data_dir=tmp_path))
    assert place.url is None
    assert "at rest" in place.text


def test_one_that_runs_is_reached_with_its_password(tmp_path: Path) -> None:
    (tmp_path / "database").mkdir()
    (tmp_path / "database.port").write_text("27017")
    with (tmp_path / "database.server").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="password or port cannot be read"):
            database_place(settings(data_dir=tmp_path))
        (tmp_path / "database.password").write_text("hunter2")
        place = database_place(settings(data_dir=tmp_path))
    assert place.url is not None
    assert place.url.startswith("mongodb://stt:hunter2@127.0.0.1:27017/")
    assert "hunter2" not in place.text


def test_without_any_the_ways_to_one_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stt.local.database.is_installed", lambda: False)
    with pytest.raises(ConfigError, match=r"set MONGO_URL, or .*stt-fleet\[embedded\]"):
        database_place(settings())
