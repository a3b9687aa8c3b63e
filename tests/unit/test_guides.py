"""The guides in docs/ against the code: their command lines, their messages, their links."""

import ast
import re
import shlex
from functools import cache
from typing import Any

import pytest
import typer
from typer.main import get_command

from stt.cli.app import app
from tests.support.paths import ROOT

GUIDES = {name: (ROOT / "docs" / f"{name}.md") for name in ("fleet", "security", "troubleshooting")}
TROUBLES = re.findall(r"(?m)^\| (`[^|]*`[^|]*) \|", GUIDES["troubleshooting"].read_text())


@cache
def words_of_the_code() -> str:
    """Every string that a program of ours could print, one behind the other."""
    found = []
    for folder in ("stt", "tools"):
        for path in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(path.read_text())
            found += [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
    texts = [text for text in found if isinstance(text, str)]
    return "\n".join([*texts, (ROOT / "tools" / "install-node.sh").read_text()])


def messages() -> list[str]:
    """What the tables quote that is a sentence, and no command or address."""
    quoted = [code for cell in TROUBLES for code in re.findall(r"`([^`]+)`", cell)]
    return [code for code in quoted if len(code.split()) > 3]


@pytest.mark.parametrize("message", messages())
def test_a_message_of_the_troubleshooting_guide_is_one_of_the_code(message: str) -> None:
    for part in message.split("…"):
        assert part.strip() in words_of_the_code()


def test_there_are_messages_to_check() -> None:
    assert len(messages()) > 20


def command_lines() -> list[list[str]]:
    text = "".join(path.read_text() for path in GUIDES.values())
    blocks = re.findall(r"(?ms)^```sh\n(.*?)^```", text)
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    quoted = [shlex.split(code) for code in re.findall(r"`(stt (?:node|coordinator) [^`]+)`", text)]
    return [words for words in [*lines, *quoted] if words[:1] == ["stt"]]


@pytest.mark.parametrize("words", command_lines(), ids=" ".join)
def test_a_command_line_of_the_guides_is_understood(words: list[str]) -> None:
    command: Any = get_command(app)
    context = command.make_context("stt", words[1:])
    while rest := [*context._protected_args, *context.args]:
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
        if not isinstance(command, typer.core.TyperGroup):
            break


@pytest.mark.parametrize("guide", GUIDES)
def test_the_links_of_a_guide_lead_somewhere(guide: str) -> None:
    for path, header in re.findall(r"\]\(([\w./-]*)(#[\w-]+)?\)", GUIDES[guide].read_text()):
        target = (GUIDES[guide].parent / path) if path else GUIDES[guide]
        assert target.exists(), path
        headings = re.findall(r"(?m)^#+ (.*)$", target.read_text())
        anchors = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
        assert not header or header[1:] in anchors, f"{path}{header}"
