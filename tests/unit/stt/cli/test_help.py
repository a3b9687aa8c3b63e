"""Help: commands first, options by panel, examples that keep their lines."""

import re

import pytest

from stt.setting_types import DATABASE, EVERYDAY, QUEUE, SERVERS, STOPPING
from tests.unit.stt.cli.conftest import Run

COMMANDS = [
    *("transcribe", "ingest", "status", "workers", "export", "retry", "release"),
    *("coordinator", "doctor", "again", "ls", "remove", "priority", "search"),
]


def test_the_help_lists_every_command_and_every_exit_code(stt: Run) -> None:
    assert stt("--help") == 0
    assert all(f"  {command} " in stt.out for command in COMMANDS)
    assert all(f"{code} " in stt.out for code in (0, 1, 2, 3, 4, 5, 130))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_examples_in_its_help(stt: Run, command: str) -> None:
    assert stt(command, "--help") == 0
    assert f"Examples:\n    stt {command}" in stt.out


def test_the_commands_come_first_and_then_the_options_by_panel(stt: Run) -> None:
    assert stt("--help") == 0
    sections = [line.strip(" :") for line in stt.out.splitlines() if re.match(r"^\S.*:$", line)]
    expected = ["Commands", EVERYDAY, STOPPING, QUEUE, SERVERS, DATABASE]
    assert [section for section in sections if section in expected] == expected
    everyday = stt.out[stt.out.index(f"{EVERYDAY}:") : stt.out.index(f"{STOPPING}:")]
    assert "--limit" in everyday
    assert "--lease-seconds" not in everyday


def test_a_command_with_one_panel_lists_plain_options(stt: Run) -> None:
    assert stt("search", "--help") == 0
    assert "\nArguments:\n" in stt.out
    assert "\nOptions:\n" in stt.out or f"\n{DATABASE}:\n" in stt.out
