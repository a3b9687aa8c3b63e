"""The database's edge: what a wrong URL says, and that it never says the password."""

import pytest

from stt.errors import ConfigError, DatabaseUnavailable
from stt.store.database import Database


@pytest.mark.parametrize(
    "url",
    ["http://db", "mongodb://me:hunter@2@db", "mongodb://db/?tls=perhaps", "mongodb://db:x"],
)
def test_a_wrong_url_is_a_configuration_error_without_the_password(url: str) -> None:
    with pytest.raises(ConfigError, match="MONGO_URL") as wrong:
        Database(url, "stt")
    assert "hunter" not in str(wrong.value)


def test_a_wrong_database_name_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="DATABASE_NAME"):
        Database("mongodb://127.0.0.1", "a.b c")


def test_no_server_is_one_clear_line() -> None:
    url = "mongodb://me:secret@127.0.0.1:9/?serverSelectionTimeoutMS=200"
    with Database(url, "stt") as database, pytest.raises(DatabaseUnavailable) as away:
        database.server_time()
    message = str(away.value)
    assert "127.0.0.1:9" in message
    assert "secret" not in message
    assert "\n" not in message
