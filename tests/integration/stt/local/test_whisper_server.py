"""A whisper server for one machine: ready inside, gone outside."""

import contextlib
import errno
import os
import subprocess
import sys
from functools import partial

import psutil
import pytest
import requests
from pydantic import SecretStr

from stt.local.whisper_server import local_server, starting_servers, whisper_servers
from stt.settings import Settings
from stt.whisper.canary import canary_failure
from stt.whisper.client import WhisperClient
from tests.support.models import sample_model
from tests.support.pace import until

_HOLDER = """
import sys
from stt.local.whisper_server import local_server

with local_server(sys.argv[1]) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


def is_gone(url: str) -> bool:
    try:
        requests.get(f"{url}/health", timeout=60)
    except requests.ConnectionError:
        return True
    return False


def test_the_local_server_is_ready_inside_and_gone_outside() -> None:
    with local_server(sample_model()) as server:
        assert requests.get(f"{server.url}/ready", timeout=60).ok
    until(lambda: is_gone(server.url))


def test_every_local_server_has_a_key_of_its_own_that_no_command_line_shows(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "of-a-server-that-others-use")
    shared = settings.model_copy(
        update={"model": sample_model(), "api_key": SecretStr("of-a-server-that-others-use")}
    )
    keys = set()
    for _ in range(2):
        with whisper_servers(shared) as own:
            assert own.api_key is not None
            [url], key = own.server_urls, own.api_key.get_secret_value()
            jobs = partial(requests.get, f"{url}/jobs", timeout=60)
            for wrong in ({}, {"Authorization": "Bearer of-a-server-that-others-use"}):
                assert jobs(headers=wrong).status_code == 401
            assert jobs(headers={"Authorization": f"Bearer {key}"}).ok
            assert canary_failure(WhisperClient(url, key, None), 60) is None
            started = []
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):  # it has ended, or is a zombie
                    started.append(" ".join(child.cmdline()))
            assert any("whisper_server" in line for line in started)
            assert not any(key in line for line in started)
            keys.add(key)
    assert len(keys) == 2
    assert all(len(key) >= 32 for key in keys)


def test_the_local_server_goes_when_its_parent_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, sample_model()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        url = holder.stdout.readline().strip()
        assert requests.get(f"{url}/ready", timeout=60).ok
        holder.kill()
    until(lambda: is_gone(url))


def test_one_that_is_used_stays_for_the_next_command_with_the_same_model(
    settings: Settings,
) -> None:
    kept = settings.model_copy(update={"model": sample_model(), "keep_alive_seconds": 600.0})
    with whisper_servers(kept) as first:
        pass
    with whisper_servers(kept) as second:
        assert (second.server_urls, second.api_key) == (first.server_urls, first.api_key)
    [url] = first.server_urls
    assert requests.get(f"{url}/ready", timeout=60).ok
    with whisper_servers(kept.model_copy(update={"keep_alive_seconds": 0.0})) as last:
        assert last.server_urls != first.server_urls
    with pytest.raises(KeyboardInterrupt), whisper_servers(kept):
        raise KeyboardInterrupt
    until(lambda: is_gone(url))


def test_without_room_for_its_file_it_ends_with_the_command(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    kept = settings.model_copy(update={"model": sample_model(), "keep_alive_seconds": 600.0})
    with whisper_servers(kept) as own:
        monkeypatch.setattr(os, "pwrite", full)
    assert is_gone(own.server_urls[0])
    assert not list(settings.data_dir.glob("whisper-server.*"))


def test_one_that_starts_and_is_not_needed_is_gone_at_the_end(settings: Settings) -> None:
    own = settings.model_copy(update={"model": sample_model()})
    others = _servers()  # which other tests have started, for as long as this process runs
    with starting_servers(own, at_once=True):
        assert _servers() > others
    assert _servers() == others


def test_a_recording_with_another_model_gets_a_server_that_has_it(settings: Settings) -> None:
    others = _servers()
    with starting_servers(settings, at_once=True) as servers:
        [first] = _servers() - others
        [url] = servers.ready(sample_model()).server_urls
        assert requests.get(f"{url}/ready", timeout=60).ok
        assert first not in _servers()
        assert servers.ready(sample_model()).server_urls == (url,)


def _servers() -> set[int]:
    """The whisper servers of this process."""
    found = set()
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if "whisper_server" in child.cmdline():
                found.add(child.pid)
    return found
