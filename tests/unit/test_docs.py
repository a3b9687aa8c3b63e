"""The documents against the code: their commands, links, paths, quoted messages and layers."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

from tests.support.documents import DOCS, DOCUMENTS, PAGES, check_call, command_lines, name_of
from tests.support.paths import ROOT

TROUBLES = re.findall(r"(?m)^\| ([^|]*`[^|]*) \|", (DOCS / "troubleshooting.md").read_text("utf-8"))
CALLS = [
    pytest.param(call, id=f"{name_of(page)}: {' '.join(call)}")
    for page in DOCUMENTS
    for call in command_lines(page)
]


@cache
def words_of_the_code() -> str:
    """Every string that a program of ours could print, one behind the other."""
    found = []
    for folder in ("stt", "tools", "whisper_server"):
        for path in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(path.read_text("utf-8"))
            found += [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
    texts = [text for text in found if isinstance(text, str)]
    return "\n".join([*texts, (ROOT / "tools" / "install-node.sh").read_text("utf-8")])


def messages() -> list[str]:
    """What the tables quote that is a sentence, and no command or address."""
    quoted = [code for cell in TROUBLES for code in re.findall(r"`([^`]+)`", cell)]
    return [code for code in quoted if len(code.split()) > 3]


@pytest.mark.parametrize("message", messages())
def test_a_message_of_the_troubleshooting_page_is_one_of_the_code(message: str) -> None:
    for part in message.split("…"):
        assert part.strip() in words_of_the_code()


def test_there_are_messages_to_check() -> None:
    assert len(messages()) > 30


@pytest.mark.parametrize("call", CALLS)
def test_a_command_line_is_understood(call: list[str]) -> None:
    check_call(call)


def test_there_are_command_lines_to_check() -> None:
    assert len(CALLS) > 80


@pytest.mark.parametrize("document", [*DOCUMENTS, ROOT / "CHANGELOG.md"], ids=name_of)
def test_the_links_of_a_document_lead_somewhere(document: Path) -> None:
    text = document.read_text("utf-8")
    for path, header in re.findall(r"\]\(((?!\w+:)[\w./-]*)(#[\w-]+)?\)", text):
        target = (document.parent / path) if path else document
        assert target.exists(), path
        assert not header or header[1:] in anchors_of(target), f"{path}{header}"


@cache
def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"(?m)^#+ (.*)$", page.read_text("utf-8"))
    return {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_a_path_that_a_document_names_is_there(document: Path) -> None:
    text = document.read_text("utf-8")
    for path in re.findall(
        r"(?<![\w/.-])((?:stt|whisper_server|tools|tests|docs|samples)/[\w./-]*\w)", text
    ):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_begins_with_its_title(page: Path) -> None:
    text = re.sub(r"\A<!--.*?-->\s*", "", page.read_text("utf-8"))
    assert re.match(r"# \S", text)
    assert len(re.findall(r"(?m)^# ", re.sub(r"(?ms)^```.*?^```", "", text))) == 1


def test_the_architecture_page_shows_the_layers_that_the_linter_checks() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (contract,) = (c for c in project["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    text = (DOCS / "architecture.md").read_text("utf-8")
    assert "```text\n" + "\n".join(contract["layers"]) + "\n```" in text


def test_the_files_to_read_first_are_there() -> None:
    text = (DOCS / "architecture.md").read_text("utf-8")
    stt, server = text.split("## The coordinator")[0], text.split("## `whisper_server`")[1]
    for package, files in re.findall(r"(?m)^\| `(\w+)/` \|.*\| (.*?) \|$", stt):
        for file in re.findall(r"`([\w.]+)`", files):
            assert (ROOT / "stt" / package / file).is_file(), f"{package}/{file}"
    for files in re.findall(r"(?m)^\| (`.*?) \|", server):
        for file in re.findall(r"`([\w./]+)`", files):
            assert (ROOT / "whisper_server" / file).exists(), file


def test_every_decision_is_in_the_list_and_has_its_parts() -> None:
    listed = (DOCS / "decisions" / "index.md").read_text("utf-8")
    for page in sorted((DOCS / "decisions").glob("0*.md")):
        assert f"]({page.name})" in listed
        parts = re.findall(r"(?m)^## (.*)$", page.read_text("utf-8"))
        assert parts == ["Context", "Decision", "Consequences", "What would reopen it"], page.name
