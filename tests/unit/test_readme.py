"""README.md against the code: every setting with its name, flag and default; every command line."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from typer.main import get_command

import stt.settings
import stt.worker.worker
import whisper_server.settings
from stt.cli.app import app
from tests.support.paths import ROOT
from whisper_server.__main__ import _parser as server_parser

README = (ROOT / "README.md").read_text()
OPERATORS = {"&", "&&", "|", "||", ";", ">", ">>", "2>&1", "(", ")"}


def section(header: str) -> str:
    _, _, rest = README.partition(f"\n## {header}\n")
    assert rest, f"README.md has no section {header!r}"
    return rest.partition("\n## ")[0]


def rows(text: str) -> Iterator[list[str]]:
    """The cells of the table rows that begin with code."""
    for line in text.splitlines():
        if line.startswith("| `"):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def settings_table(header: str) -> dict[str, tuple[str, str]]:
    """By variable: the cells of its flag and of its default."""
    table: dict[str, tuple[str, str]] = {}
    for names, *rest in rows(section(header)):
        variables = codes(names)
        if not re.fullmatch("[A-Z_]+", variables[0]):
            continue  # a table of something else
        flags, default = rest[:2]
        shared = [default] * len(variables)
        defaults = default.split(", ") if len(default.split(", ")) == len(variables) else shared
        table |= {v: (flags, d) for v, d in zip(variables, defaults, strict=True)}
    return table


def variables_of(name: str, field: FieldInfo) -> list[str]:
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices]
    return [str(alias or name).upper()]


STT = settings_table("Settings")
SERVER = settings_table("The Whisper server")
FIELDS = [
    pytest.param(table, variable, field, id=f"{package}-{variable}")
    for package, table, model in (
        ("stt", STT, stt.settings.Settings),
        ("server", SERVER, whisper_server.settings.Settings),
    )
    for name, field in model.model_fields.items()
    for variable in variables_of(name, field)
]


@pytest.mark.parametrize(("table", "variable", "field"), FIELDS)
def test_a_setting_is_in_the_readme_with_its_true_default(
    table: dict[str, tuple[str, str]], variable: str, field: FieldInfo, monkeypatch: Any
) -> None:
    assert variable in table, f"{variable} is missing in README.md"
    shown = table[variable][1].split(" (")[0].strip("`")
    if field.default_factory is not None:
        assert variable in ("STT_DATA_DIR", "STT_CONFIG_DIR")
        monkeypatch.setattr("sys.platform", "linux")
        monkeypatch.delenv("XDG_DATA_HOME", raising=False)
        monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
        assert Path(shown).expanduser() == field.get_default(call_default_factory=True)
    elif variable == "STT_SERVER_URL":
        assert field.default == ()
        assert shown == stt.settings.DEFAULT_SERVER_URL
    elif field.default is None:  # computed, or left out: words say how
        assert re.match(r"[A-Za-z]", shown), f"{variable} has no fixed default, not {shown!r}"
    elif isinstance(field.default, bool):
        assert shown == str(field.default).lower()
    elif isinstance(field.default, int | float):
        assert float(shown) == field.default
    else:
        assert shown == str(field.default)


def test_no_setting_of_the_readme_is_gone_from_the_code() -> None:
    known = {parameter.values[1] for parameter in FIELDS}
    assert set(STT) | set(SERVER) == known


def test_the_flags_of_the_settings_exist() -> None:
    for flags, _ in STT.values():
        assert set(re.findall(r"--[\w-]+", flags)) <= FLAGS_OF_SETTINGS, flags
    for flags, _ in SERVER.values():
        assert set(re.findall(r"--[\w-]+", flags)) <= options_of("whisper-server"), flags


def options_of(program: str, *subcommands: str) -> set[str]:
    if program == "whisper-server":
        return set(server_parser()._option_string_actions)
    command = stt_command()
    for subcommand in subcommands:
        command = command.commands[subcommand]
    return {option for parameter in command.params for option in parameter.opts} | {"--help"}


def stt_command() -> Any:
    return get_command(app)


FLAGS_OF_SETTINGS = (
    options_of("stt") | options_of("stt", "coordinator") | options_of("stt", "node", "register")
)


def command_lines() -> list[list[str]]:
    """Every call of `stt` and `whisper-server` in the blocks that people paste into a shell."""
    found = []
    for block in re.findall(r"(?ms)^```(?:sh|cron)\n(.*?)^```", README):
        for line in block.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            words: list[str] = []
            for word in [*lexer, ";"]:
                if word in OPERATORS:
                    found.append(words)
                    words = []
                else:
                    words.append(word)
    programs = ("stt", "whisper-server")
    calls = ([Path(words[0]).name, *words[1:]] for words in found if words)
    return [call for call in calls if call[0] in programs]


@pytest.mark.parametrize("call", command_lines(), ids=" ".join)
def test_a_command_line_of_the_readme_is_understood(call: list[str]) -> None:
    program, *arguments = call
    if program == "whisper-server":
        server_parser().parse_args(arguments)  # exits where it does not understand
        return
    command = stt_command()
    with command.make_context("stt", arguments) as context:
        if rest := [*context._protected_args, *context.args]:
            name, subcommand, rest = command.resolve_command(context, rest)
            if isinstance(subcommand, typer.core.TyperGroup):
                name, subcommand, rest = subcommand.resolve_command(context, rest)
            assert isinstance(subcommand, typer.core.TyperCommand)
            subcommand.make_context(name, rest, parent=context).close()


def test_there_are_command_lines_to_check() -> None:
    programs = [call[0] for call in command_lines()]
    assert programs.count("stt") >= 5
    assert programs.count("whisper-server") >= 3


def test_the_flags_in_the_table_of_commands_exist() -> None:
    checked = 0
    for cells in rows(section("Commands")):
        for code in codes(cells[0]):
            program, *words = code.split()
            if program not in {"stt", "whisper-server"}:
                continue
            subcommands = [word for word in words[:1] if word in stt_command().commands]
            flags = set(re.findall(r"--[\w-]+", code))
            assert flags <= options_of(program, *subcommands), code
            checked += 1
    assert checked >= len(stt_command().commands)


def test_every_command_is_in_the_table_of_commands() -> None:
    table = " ".join(code for cells in rows(section("Commands")) for code in codes(cells[0]))
    missing = {name for name in stt_command().commands if f"stt {name}" not in table}
    assert not missing
