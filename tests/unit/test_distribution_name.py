"""The distribution is called stt-fleet: on PyPI, `stt` is a program of somebody else."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.support.paths import ROOT

FOLDERS = ("stt", "whisper_server", "tools", "docs", "tests", ".github")
SUFFIXES = {".py", ".md", ".sh", ".bat", ".js", ".html", ".toml", ".yml", ".yaml"}
NAMES = {"Dockerfile", "Makefile"}
OTHER_PROJECT = re.compile(
    r"""install[ \t]+(?:-\S+[ \t]+)*['"]?stt(?![\w./-])"""
    r"""|(?<![\w.])stt\[[a-z,]+\]"""
    r"""|version\(["']stt["']\)"""
)


def test_the_project_has_the_name() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == "stt-fleet"
    assert set(project["scripts"]) == {"stt", "whisper-server"}


def test_nothing_tells_people_to_install_the_other_project() -> None:
    files = [path for path in ROOT.iterdir() if path.is_file()]
    files += [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    texts = {
        path: path.read_text(encoding="utf-8")
        for path in files
        if path.suffix in SUFFIXES or path.name in NAMES
        if path != Path(__file__)
    }
    assert len(texts) > 300
    wrong = {
        str(path.relative_to(ROOT)): found.group()
        for path, text in texts.items()
        if (found := OTHER_PROJECT.search(text))
    }
    assert not wrong


@pytest.mark.parametrize(
    "text", ["pip install stt", "pip install 'stt[server]'", 'run: "stt[embedded,node]"']
)
def test_the_search_finds_the_old_name(text: str) -> None:
    assert OTHER_PROJECT.search(text)


@pytest.mark.parametrize(
    "text", ["pip install 'stt-fleet[server]'", "pip install . && stt --limit 3", "cat stt.log"]
)
def test_the_search_allows_the_command(text: str) -> None:
    assert not OTHER_PROJECT.search(text)
