"""What stays of the embedded database after a command, for the next one, and for how long."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stt.errors import DatabaseUnavailable
from stt.local.data_folder import DataFolder
from stt.local.stack import open_database
from stt.settings import Settings
from tests.support.pace import until

_KILLED = """
import os, sys
from stt.local.stack import open_database
from stt.settings import Settings

with open_database(Settings(_env_file=None, data_dir=sys.argv[1], keep_alive_seconds=600)):
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path / "data", keep_alive_seconds=600)  # type: ignore[call-arg]


@pytest.fixture
def folder(settings: Settings) -> DataFolder:
    return DataFolder(settings.data_dir)


def end(settings: Settings, folder: DataFolder) -> None:
    """Use the database for the last time."""
    with open_database(settings.model_copy(update={"keep_alive_seconds": 0})):
        pass
    assert folder.server_pid() is None


def test_the_next_command_finds_the_server_that_an_earlier_one_left(
    settings: Settings, folder: DataFolder
) -> None:
    with open_database(settings) as database:
        database.recordings.insert_one({"filename": "talk.mp3", "sha256": "1"})
        pid = folder.server_pid()
    assert folder.server_pid() == pid is not None
    with open_database(settings) as database:
        assert database.recordings.count_documents({}) == 1
    assert folder.server_pid() == pid
    end(settings, folder)


def test_it_ends_once_the_time_is_over(settings: Settings, folder: DataFolder) -> None:
    with open_database(settings):
        pass
    time.sleep(1.5)  # longer than it takes to see that no command uses it
    assert folder.server_pid() is not None
    now = time.time()
    os.utime(settings.data_dir / "database.users", (now, now))
    until(lambda: folder.server_pid() is None)
    assert "Traceback" not in folder.log.read_text()


def test_it_does_not_stay_beyond_what_can_be_set_when_the_clock_is_set_back(
    settings: Settings, folder: DataFolder
) -> None:
    with open_database(settings):
        pass
    moment = time.time() + 86_400
    os.utime(settings.data_dir / "database.users", (moment, moment))
    until(lambda: folder.server_pid() is None)


@pytest.mark.parametrize("error", [KeyboardInterrupt, DatabaseUnavailable])
def test_a_command_that_ends_early_leaves_none(
    settings: Settings, folder: DataFolder, error: type[BaseException]
) -> None:
    with open_database(settings):
        pass
    with pytest.raises(error), open_database(settings):
        raise error
    assert folder.server_pid() is None


def test_a_command_that_is_killed_leaves_none(settings: Settings, folder: DataFolder) -> None:
    with open_database(settings):
        pass
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(folder.path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    until(lambda: folder.server_pid() is None)
