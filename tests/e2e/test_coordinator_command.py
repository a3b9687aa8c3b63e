"""`stt coordinator` as a person starts and stops it."""

import re
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from stt.cli import coordinator as command
from stt.cli.app import app
from stt.errors import ConfigError
from stt.store.database import Database
from tests.support.coordinator_process import CoordinatorProcess, running_process

WAIT_SECONDS = 25


def test_it_makes_a_key_shows_it_once_and_ends_at_once_whoever_waits(
    database: Database, mongo_url: str, tmp_path: Path
) -> None:
    place = (mongo_url, database.chunks.database.name, tmp_path)
    with running_process(*place, STT_COORDINATOR_KEY="") as first:
        assert "STT_COORDINATOR_KEY is not set" in first.log
        shown = re.search(r"shown this once: (\S{43})\n", first.log)
        assert shown
        first.key = shown[1]
        with first.person() as person:
            assert person.get("/api/session").status_code == 200
        first.signal(signal.SIGINT)
        assert first.wait() == 130
        assert "Traceback" not in first.log

    answers: list[int] = []
    flags = ("--host", "0.0.0.0", "--port", "0")
    with running_process(*place, *flags, STT_COORDINATOR_KEY="") as second:
        assert "shown this once" not in second.log
        assert "speaks plain HTTP" in second.log
        second.key = shown[1]
        waiting = threading.Thread(target=wait_for_work, args=[second, answers])
        waiting.start()
        socket_url = second.url.replace("http", "ws") + "/ws/dashboard"
        with pytest.raises(InvalidStatus, match="401"):
            connect(socket_url + "?key=in-the-query")
        with connect(
            socket_url, additional_headers={"Authorization": f"Bearer {second.key}"}
        ) as page:
            page.recv(10)
            asked_at = time.monotonic()
            second.signal(signal.SIGTERM)
            assert second.wait() == 0
            assert time.monotonic() - asked_at < WAIT_SECONDS / 2
        waiting.join(5)
        assert answers == [204]
        assert "Error" not in second.log
        assert "in-the-query" not in second.log


def wait_for_work(running: CoordinatorProcess, answers: list[int]) -> None:
    with running.person() as person:
        answer = person.get(f"/tasks/next?worker_id=x_1&wait={WAIT_SECONDS}")
    answers.append(answer.status_code)


def test_a_port_that_is_taken_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = CliRunner().invoke(app, ["coordinator", "--port", str(port)])
    assert isinstance(ended.exception, ConfigError)
    assert f"Port {port} on 127.0.0.1 is in use by another program" in str(ended.exception)


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("STT_COORDINATOR_KEY", "too-short", "at least 16 characters"),
        ("STT_PUBLIC_URL", "stt.example.org", "is not a URL"),
        ("STT_PUBLIC_URL", "https://example.org/stt", "nothing behind the host"),
        ("STT_TRUSTED_PROXIES", "my-proxy", "neither an address nor a network"),
        ("STT_COORDINATOR_PORT", "70000", "less than or equal to 65535"),
        ("STT_MAX_UPLOAD_MB", "many", "valid integer"),
    ],
)
def test_a_setting_that_is_wrong_is_named(
    variable: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    ended = CliRunner().invoke(app, ["coordinator"])
    assert variable in str(ended.exception)
    assert reason in str(ended.exception)
    if "KEY" in variable:
        assert value not in str(ended.exception)


def test_without_its_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find_spec", lambda _: None)
    ended = CliRunner().invoke(app, ["coordinator"])
    assert "pip install 'stt-fleet[coordinator]'" in str(ended.exception)


def test_a_new_key_makes_no_sense_beside_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STT_COORDINATOR_KEY", "a-key-of-enough-letters")
    ended = CliRunner().invoke(app, ["coordinator", "--new-key"])
    assert "--new-key has no effect" in str(ended.exception)
