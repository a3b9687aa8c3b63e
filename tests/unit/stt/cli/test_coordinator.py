"""What `stt coordinator` refuses before it opens a database."""

import socket

import pytest
from typer.testing import CliRunner

from stt.cli import coordinator as command
from stt.cli.app import app
from stt.errors import ConfigError


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
        ("STT_COORDINATOR_KEY", "change-me-please-123", "are guessed first"),
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
