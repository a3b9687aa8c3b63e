"""Opening the database of a command."""

import pytest

from stt.errors import ConfigError
from stt.local.stack import open_database
from stt.settings import Settings


def test_without_the_extra_the_message_says_what_to_install(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stt.local.database.find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"set MONGO_URL.*pip install 'stt-fleet\[embedded\]'"):
        open_database(settings).__enter__()
