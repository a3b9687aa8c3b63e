"""The project's documents, and the commands of ours that they show."""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from stt.cli.app import app
from tests.support.paths import ROOT
from whisper_server.__main__ import _parser as server_parser

README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = tuple(sorted(DOCS.rglob("*.md")))
DOCUMENTS = (README, ROOT / "CONTRIBUTING.md", *PAGES)
"""What a person reads to use or change the project as it is now."""

_PROGRAMS = ("stt", "whisper-server")
_OPERATORS = {"&", "&&", "|", "||", ";", ">", ">>", "2>&1", "(", ")"}
_GENERATED = DOCS / "reference" / "commands.md"


def name_of(path: Path) -> str:
    """Return the path as the project's documents write it."""
    return path.relative_to(ROOT).as_posix()


def command_lines(document: Path) -> list[list[str]]:
    """Return every call of `stt` and `whisper-server`: of blocks for a shell, and in the text."""
    text = document.read_text("utf-8")
    calls = [*_calls_in_blocks(text)]
    if document != _GENERATED:  # its headings name commands, and are made from them
        calls += _calls_in_text(text)
    return calls


_PLACEHOLDERS = {"CHUNK": "6903ce2e3006e94c81d59b3f"}


def check_call(call: Sequence[str]) -> None:
    """Parse a call as its program would; raises what the program would exit with."""
    program, *arguments = (_PLACEHOLDERS.get(word, word) for word in call)
    if program == "whisper-server":
        server_parser().parse_args(arguments)
        return
    command: Any = get_command(app)
    if _is_name_only(command, arguments):
        return
    context = command.make_context("stt", arguments)
    while rest := [*context._protected_args, *context.args]:
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
        if not isinstance(command, typer.core.TyperGroup):
            break


def _is_name_only(command: Any, words: Sequence[str]) -> bool:
    """True for `stt ingest`, which names a command and lacks what a call of it needs."""
    for word in words:
        command = getattr(command, "commands", {}).get(word)
    return command is not None


def _calls_in_blocks(text: str) -> Iterator[list[str]]:
    for block in re.findall(r"(?ms)^```(?:sh|cron)\n(.*?)^```", text):
        for line in block.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            words: list[str] = []
            for word in [*lexer, ";"]:
                if word not in _OPERATORS:
                    words.append(word)
                elif words:
                    yield from _ours(words)
                    words = []


def _calls_in_text(text: str) -> Iterator[list[str]]:
    """Those in single backquotes; one with `…` in it is an example of many."""
    prose = re.sub(r"(?ms)^```.*?^```", "", text)
    for code in re.findall(r"`((?:stt|whisper-server)\s[^`…]+)`", prose):
        yield from _ours(shlex.split(code))


def _ours(words: Sequence[str]) -> Iterator[list[str]]:
    while words and re.match(r"\w+=", words[0]):  # a variable for this call alone
        words = words[1:]
    program = Path(words[0]).name if words else ""
    if program in _PROGRAMS:
        yield [program, *words[1:]]
