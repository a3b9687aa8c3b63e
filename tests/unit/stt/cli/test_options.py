"""Options that are made from settings."""

import logging
import socket
from pathlib import Path
from typing import Any

import pytest
import typer

from stt.cli import app as program
from stt.coordinator.store.options import NAMES
from stt.settings import Settings, flag_of
from tests.unit.stt.cli.conftest import NOWHERE, Run

ON_THE_PAGE = set(NAMES)
"""What has its place on the coordinator's page "Settings", and no flag."""


def test_every_setting_has_a_flag_but_for_keys(stt: Run) -> None:
    helps = ""
    for command in ((), ("coordinator",), ("node",), ("node", "register"), ("ingest",)):
        stt(*command, "--help")
        helps += stt.out
    names = {
        str(field.validation_alias or name).upper()
        for name, field in Settings.model_fields.items()
        if name not in ON_THE_PAGE
    }
    assert {name for name in names if name not in helps} == set()
    assert "--api-key" not in helps
    assert "--coordinator-key" not in helps


def test_flags_of_the_database_may_stand_before_or_behind_the_command(
    stt: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MONGO_URL")
    assert stt("--mongo-url", NOWHERE, "status") == 4
    assert stt("status", "--mongo-url", NOWHERE) == 4
    assert stt("--mongo-url", "wrong://", "status", "--mongo-url", NOWHERE) == 4


def test_every_flag_that_a_wrong_setting_may_name_is_one_of_the_command() -> None:
    root: Any = typer.main.get_command(program.app)
    register = root.commands["node"].commands["register"]
    commands = [root, root.commands["coordinator"], root.commands["ingest"], register]
    options = {o for command in commands for p in command.params for o in p.opts}
    named = {flag_of(field) for field in Settings.model_fields if field not in ON_THE_PAGE}
    # Keys, which others could read, where they lie, and what the webhooks beside them get.
    assert named - options == {
        *("--api-key", "--coordinator-key", "--config-dir"),
        *("--on-done-secret", "--on-done-events"),
    }


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize(
    ("flag", "level"), [("-q", logging.WARNING), ("", logging.INFO), ("-v", logging.DEBUG)]
)
@pytest.mark.parametrize(
    "command",
    ["", "transcribe a.wav", "ingest a.wav", "coordinator", "node register", "node start"],
)
def test_every_command_that_logs_has_quiet_and_verbose(
    stt: Run, monkeypatch: pytest.MonkeyPatch, command: str, flag: str, level: int
) -> None:
    """Each of them ends, for want of what it works with, once its log is set up."""
    Path("a.wav").write_bytes(b"")
    monkeypatch.setenv("STT_CONFIG_DIR", str(Path.cwd()))
    monkeypatch.setenv("STT_JOIN_CODE", "AAAA-BBBB-CCCC")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("STT_COORDINATOR_PORT", str(taken.getsockname()[1]))
        more = ["--server", "hub:8000"] if command == "node register" else []
        assert stt(*command.split(), *more, *filter(None, [flag])) in (3, 4)
    assert logging.getLogger("stt").level == level
