"""A program without the whole of its extra says which extra to install, whatever is missing."""

import re
import tomllib
from types import ModuleType

import pytest

import whisper_server.__main__
from stt.cli import coordinator, node
from tests.support.paths import ROOT

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


@pytest.mark.parametrize(
    ("program", "extra"),
    [(whisper_server.__main__, "server"), (coordinator, "coordinator"), (node, "node")],
)
def test_every_package_of_the_extra_is_looked_for(program: ModuleType, extra: str) -> None:
    names = [re.match(r"[\w-]+", requirement) for requirement in EXTRAS[extra]]
    assert sorted(program._MODULES) == sorted(n[0].replace("-", "_") for n in names if n)


@pytest.mark.parametrize("missing", whisper_server.__main__._MODULES)
@pytest.mark.parametrize("command", ["", "calibrate", "download tiny.en"])
def test_a_whisper_server_without_its_extra_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str, command: str
) -> None:
    there = {
        name: None if name == missing else object() for name in whisper_server.__main__._MODULES
    }
    monkeypatch.setattr(whisper_server.__main__, "find_spec", there.__getitem__)
    assert whisper_server.__main__.main(command.split()) == 3
    said = f"whisper-server: {missing} is not installed: pip install 'stt-fleet[server]'\n"
    assert capsys.readouterr().err == said
