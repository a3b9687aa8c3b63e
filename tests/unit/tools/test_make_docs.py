"""The reference pages are what `make docs` makes of the code, on every machine."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic.fields import FieldInfo
from typer.main import get_command

import stt.settings
import whisper_server.settings
from stt.cli.app import app
from tests.support.documents import DOCS, name_of
from tests.support.paths import ROOT
from tools import make_docs
from tools.reference_docs.exit_codes import error_exit_codes
from tools.reference_docs.settings import variables_of
from whisper_server.__main__ import _parser as server_parser

GENERATED = make_docs.generated()
SETTINGS_PAGE = (DOCS / "reference" / "settings.md").read_text("utf-8")
STT_FIELDS = stt.settings.Settings.model_fields
SERVER_FIELDS = whisper_server.settings.Settings.model_fields
VARIABLES = {
    variable
    for fields in (STT_FIELDS, SERVER_FIELDS)
    for name, field in fields.items()
    for variable in variables_of(name, field)
}


@pytest.mark.parametrize("page", GENERATED, ids=name_of)
def test_a_generated_page_is_current(page: Path) -> None:
    assert page.read_text("utf-8") == GENERATED[page], "run make docs"


@pytest.mark.parametrize("page", GENERATED, ids=name_of)
def test_a_generated_page_says_so_first_and_has_no_colours(page: Path) -> None:
    text = GENERATED[page]
    assert re.match(r"<!-- .*[Gg]enerated by `make docs` from ", text)
    assert "\x1b" not in text
    assert "\b" not in text


def test_neither_the_terminal_nor_the_settings_of_a_machine_change_them(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("STT_PAGE_SIZE=7\nBATCH_SIZE=7\n")
    machine = {
        "COLUMNS": "40",
        "FORCE_COLOR": "1",
        "HOME": str(tmp_path),
        "MONGO_URL": "mongodb://elsewhere",
        "PYTHONPATH": str(ROOT),
        "WHISPER_MODEL": "large-v3",
    }
    command = [sys.executable, "-m", "tools.make_docs", "--check"]
    run = subprocess.run(
        command, cwd=tmp_path, env=os.environ | machine, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stdout + run.stderr


def rows(text: str) -> list[list[str]]:
    """The cells of the table rows that begin with code."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_the_settings_page_has_every_setting_and_no_other() -> None:
    named = [code for row in rows(SETTINGS_PAGE) for code in re.findall(r"`([A-Z_]+)`", row[0])]
    assert set(named) == VARIABLES
    assert len(named) == len(set(named))


@pytest.mark.parametrize("row", rows(SETTINGS_PAGE), ids=lambda row: row[0])
def test_a_setting_has_a_meaning_and_a_flag_that_exists(row: list[str]) -> None:
    names, default, _, meaning = row
    assert meaning
    assert default
    known = {option for command in commands(get_command(app)) for option in options_of(command)}
    assert set(re.findall(r"--[\w-]+", names)) <= known | set(
        server_parser()._option_string_actions
    )


@pytest.mark.parametrize("name", ["data_dir", "config_dir"])
def test_a_folder_that_is_computed_is_shown_as_it_is(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform != "linux":
        pytest.skip("shown as on Linux")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    field: FieldInfo = STT_FIELDS[name]
    shown = str(stt.settings.extra_of(name)["shown_default"]).partition(" (")[0]
    assert Path(shown).expanduser() == field.get_default(call_default_factory=True)


def test_the_address_of_the_server_is_shown_as_it_is() -> None:
    shown = str(stt.settings.extra_of("server_urls")["shown_default"])
    assert shown.startswith(stt.settings.DEFAULT_SERVER_URL)


def test_the_commands_page_has_every_command() -> None:
    text = GENERATED[DOCS / "reference" / "commands.md"]
    headings = re.findall(r"(?m)^## `(.*)`$", text)
    ours = [heading for heading in headings if heading.split()[0] == "stt"]
    assert len(ours) == len(list(commands(get_command(app))))
    assert "whisper-server calibrate" in headings


def test_every_exit_code_of_an_error_is_explained() -> None:
    text = (DOCS / "reference" / "exit-codes-and-log-lines.md").read_text("utf-8")
    by_hand = text.partition("<!-- begin")[0]
    explained = {int(code) for code in re.findall(r"(?m)^\| (\d+) \|", by_hand)}
    assert explained == error_exit_codes() | {0, 2, 130}


def commands(command: Any) -> list[Any]:
    """A command and all below it."""
    below = getattr(command, "commands", {}).values()
    return [command, *(found for each in below for found in commands(each))]


def options_of(command: Any) -> set[str]:
    return {option for param in command.params for option in param.opts}
