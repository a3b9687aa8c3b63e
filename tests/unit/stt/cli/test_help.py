"""Help: commands first, options by panel, examples that keep their lines."""

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from stt.cli.app import app
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


def _tree(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command and group, down to the last."""
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from _tree(inner, (*path, name))


ALL = list(_tree(typer.main.get_command(app)))


def test_the_tree_has_every_command_and_those_of_groups() -> None:
    assert {(command,) for command in COMMANDS} < set(ALL)
    assert {("node",), ("node", "register"), ("node", "service", "logs")} < set(ALL)


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_examples_of_itself_in_its_help(stt: Run, path: tuple[str, ...]) -> None:
    assert stt(*path, "--help") == 0
    examples = stt.out.partition("Examples:\n")[2].partition("\n\n")[0].splitlines()
    assert any(
        re.match(rf" +(\w+=\S+ )*{' '.join(('stt', *path))}( |$)", line) for line in examples
    )
    by_name = stt.out
    assert stt(*path, "-h") == 0
    assert stt.out == by_name


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_option_is_in_the_help(stt: Run, path: tuple[str, ...]) -> None:
    command: Any = typer.main.get_command(app)
    for name in path:
        command = command.commands[name]
    assert stt(*path, "--help") == 0
    shown = set(re.findall(r"--[a-z0-9-]+", stt.out.partition("Examples:\n")[0]))
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    assert {name for p in options for name in p.opts if name.startswith("--")} <= shown


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


def test_the_help_of_stt_lists_what_each_command_says_of_itself() -> None:
    root: Any = typer.main.get_command(app)
    assert list(root.summaries) == list(root.commands)
    for name, command in root.commands.items():
        assert root.summaries[name] == command.get_short_help_str(200)


def test_the_help_of_stt_imports_no_command_and_no_driver() -> None:
    listing = (
        "import sys\nfrom stt.cli.app import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "names = {'pymongo', 'requests', 'numpy', 'av', 'stt.cli.transcribe', 'stt.cli.node'}\n"
        "sys.exit(', '.join(names & sys.modules.keys()) or 0)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", listing], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
