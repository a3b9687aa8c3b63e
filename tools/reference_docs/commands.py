"""docs/reference/commands.md, from the parsers of `stt` and `whisper-server`."""

import argparse
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from stt.cli.app import app
from stt.cli.options import DATABASE_SETTINGS
from stt.setting_types import EVERYDAY, PANELS
from tools.reference_docs.markdown import block, cell, origin, page, table
from whisper_server.__main__ import _parser as server_parser

_COMPLETION_OPTIONS = ("install_completion", "show_completion")
_HEADER = ("option", "meaning", "default")

_INTRODUCTION = """\
Every command prints this text with `--help`. How a worker decides to stop is in
[Worker and cron](../guides/worker-and-cron.md), the environment variables in
[Settings](settings.md), the exit codes in
[Exit codes and log lines](exit-codes-and-log-lines.md). `stt --install-completion` installs the
completion of commands and options for the current shell."""

_TOOLS = """\
## Tools of a checkout

Each of these has `--help`.

| command | does |
| --- | --- |
| `sh tools/install-node.sh` | makes this machine a node, see [Nodes](../guides/nodes.md) |
| `sh tools/run_master.sh` | starts a coordinator from a fresh checkout |
| `sh tools/run_worker.sh URL` | starts a node from a fresh checkout |
| `python tools/build_worker.py` | builds `stt` as one file that needs no Python (`pip install '.[node,build]'`) |
| `python tools/cleanup.py --older-than 10m` | frees stale claims and prints whose they were; `--dry-run` only prints |
| `python tools/load_whisper.py FILE… --clients N --server URL` | measures a whisper server with N callers: latency, speed, errors |
| `python tools/chaos.py` | injects faults into a fleet and checks the recorded history, see [The claim protocol](../claim-protocol.md#how-it-is-tested) |
| `python tools/namespaces.py` | the same for nodes on networks of their own (root, Linux) |
| `python tools/outage.py` | a fleet whose only whisper server is away for two minutes |
| `python tools/bench_fidelity.py`, `bench_fleet.py`, `bench_ingest.py`, `bench_server.py`, `bench_transcribe.py` | the [benchmarks](../benchmarks.md) |"""  # noqa: E501


def commands_page() -> str:
    """Return the page."""
    root: Any = get_command(app)
    root_options = [p for p in root.params if p.name in DATABASE_SETTINGS]
    return page(
        origin("stt/cli", "whisper_server/__main__.py"),
        "# Commands",
        _INTRODUCTION,
        "## Options of the database",
        "Every command that opens the database takes these, before or behind the command's name.",
        table(_HEADER, map(_row, root_options)),
        *_command(root, "stt"),
        *_whisper_server(),
        _TOOLS,
    )


def _command(command: Any, path: str) -> Iterator[str]:
    """Yield the parts of a command, then those of its subcommands."""
    subcommands = getattr(command, "commands", {})
    yield f"## `{path}`"
    yield (command.help or "").strip()
    yield block(_usage(command, path, is_group=bool(subcommands)))
    yield from _options(command)
    if any(p.name in DATABASE_SETTINGS for p in command.params):
        yield "It also takes the [options of the database](#options-of-the-database)."
    if command.epilog:
        yield block(_without_marks(command.epilog))
    for name, subcommand in subcommands.items():
        yield from _command(subcommand, f"{path} {name}")


def _options(command: Any) -> Iterator[str]:
    """Yield a table of the arguments and everyday options, and one for each other panel."""
    panels: dict[str, list[Any]] = defaultdict(list)
    for param in command.params:
        if param.name not in (*DATABASE_SETTINGS, *_COMPLETION_OPTIONS):
            is_argument = param.param_type_name == "argument"
            panels[EVERYDAY if is_argument else param.rich_help_panel or EVERYDAY].append(param)
    for panel in PANELS:
        if panel in panels:
            if len(panels) > 1:
                yield f"**{panel}**"
            yield table(_HEADER, map(_row, panels[panel]))


def _usage(command: Any, path: str, *, is_group: bool) -> str:
    words = [path, "[OPTION]..."]
    if is_group:
        words.append("[COMMAND] [ARGUMENT]..." if command.invoke_without_command else "COMMAND")
    words += [_argument(p) for p in command.params if p.param_type_name == "argument"]
    return " ".join(words)


def _argument(param: Any) -> str:
    name = str(param.metavar or param.name.upper())
    name = f"{name}..." if param.nargs == -1 else name
    return name if param.required else f"[{name}]"


def _row(param: Any) -> tuple[str, str, str]:
    if param.param_type_name == "argument":
        spelled = f"`{_argument(param)}`"
    else:
        metavar = "" if param.is_flag else f" {param.metavar or param.name.upper()}"
        spelled = ", ".join(f"`{name}{metavar}`" for name in param.opts + param.secondary_opts)
    return spelled, cell(param.help or ""), _default(param)


def _default(param: Any) -> str:
    if param.required:
        return "required"
    if param.default in (None, False, (), []):
        return ""
    value = param.default
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _without_marks(text: str) -> str:
    """Return the text without the marks that keep click from wrapping its lines."""
    return re.sub(r"\n*\x08\n", "\n\n", text)


def _whisper_server() -> Iterator[str]:
    parser = server_parser()
    yield "## `whisper-server`"
    yield parser.description or ""
    yield block("whisper-server [OPTION]...\nwhisper-server COMMAND [OPTION]...")
    yield table(_HEADER[:2], _argparse_rows(parser))
    yield block(parser.epilog or "")
    for name, subparser in _subparsers(parser).items():
        yield f"## `whisper-server {name}`"
        yield " ".join((subparser.description or "").split())
        yield table(_HEADER[:2], _argparse_rows(subparser))
        yield block(subparser.epilog or "")


def _subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (action,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


def _argparse_rows(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction | argparse._HelpAction):
            continue
        if action.option_strings:
            value = "{" + ",".join(action.choices) + "}" if action.choices else action.metavar
            takes_value = action.nargs != 0
            value = f" {value or action.dest.upper()}" if takes_value else ""
            spelled = ", ".join(f"`{name}{value}`" for name in action.option_strings)
        else:
            spelled = f"`[{action.dest.upper()}]`"
        yield spelled, cell(_help_of(action))


def _help_of(action: argparse.Action) -> str:
    if isinstance(action, argparse._VersionAction):
        return "Print the version and exit."
    return action.help or ""
