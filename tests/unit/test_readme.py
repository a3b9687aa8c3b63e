"""README.md: short enough to read, and no command in it that is not understood."""

import re

import pytest

from tests.support.documents import README, check_call, command_lines, name_of
from tests.support.paths import ROOT

MAX_WORDS = 800


def test_it_has_at_most_800_words() -> None:
    assert len(README.read_text("utf-8").split()) <= MAX_WORDS


@pytest.mark.parametrize("call", command_lines(README), ids=" ".join)
def test_a_command_line_is_understood(call: list[str]) -> None:
    check_call(call)


def test_there_are_command_lines_to_check() -> None:
    programs = [call[0] for call in command_lines(README)]
    assert programs.count("stt") >= 5
    assert programs.count("whisper-server") >= 2


def test_it_leads_to_every_guide_and_every_reference_page() -> None:
    targets = set(re.findall(r"\]\((docs/[\w/.-]+)\)", README.read_text("utf-8")))
    pages = {name_of(path) for path in (ROOT / "docs").glob("*.md")}
    pages |= {name_of(path) for path in (ROOT / "docs" / "guides").glob("*.md")}
    pages |= {name_of(path) for path in (ROOT / "docs" / "reference").glob("*.md")}
    assert pages - targets == {"docs/index.md"}
