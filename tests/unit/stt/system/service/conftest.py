"""A folder for stand-ins of service managers, and a program to be run as a service."""

import os
from pathlib import Path

import pytest

from stt.cli.node_service import NODE
from stt.system.service import Program, ServiceKind


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Make a program whose path holds signs that systemd would interpret."""
    executable = tmp_path / "my venv" / "s%tt$HOME"
    executable.parent.mkdir()
    executable.write_text("#!/bin/sh\n")
    executable.chmod(0o755)
    folder = tmp_path / "con fig%n"
    folder.mkdir()
    return Program((str(executable), "node", "--model", 'a"b\\c $d %e'), folder)


@pytest.fixture
def kind() -> ServiceKind:
    return NODE
