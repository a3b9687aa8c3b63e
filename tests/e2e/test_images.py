"""The stages of the Dockerfile that install packages, run without a container engine."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.install

DOCKERFILE = (ROOT / "Dockerfile").read_text()
INSTALLATIONS = re.findall(r"(?m)^RUN (uv sync .*)$", DOCKERFILE)
MODULES = {
    "": ["stt.cli.app"],
    "coordinator": ["stt.coordinator.server"],
    "node server": ["stt.node.agent", "whisper_server.app"],
    "server": ["whisper_server.app", "faster_whisper"],
}
INSTALL_SECONDS = 600


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the build sees of the project."""
    folder = tmp_path_factory.mktemp("build")
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            source, target = ROOT / line[1:], folder / line[1:]
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, target)
    return folder


@pytest.mark.parametrize("command", sorted(set(INSTALLATIONS)))
def test_an_installation_has_what_its_program_needs_and_no_installer(
    command: str, context: Path, tmp_path: Path
) -> None:
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not installed: https://docs.astral.sh/uv/")
    settings = dict(re.findall(r"(UV_\w+)=(\S+)", DOCKERFILE))
    venv = tmp_path / "venv"
    settings["UV_PROJECT_ENVIRONMENT"] = str(venv)
    del settings["UV_NO_CACHE"], settings["UV_COMPILE_BYTECODE"]  # here they only take time
    arguments = [str(uv), *command.split()[1:]]
    environment = {**os.environ, **settings}
    environment.pop("VIRTUAL_ENV", None)
    done = subprocess.run(
        arguments, cwd=context, env=environment, capture_output=True, text=True,
        timeout=INSTALL_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not (venv / "bin" / "pip").exists()
    extras = " ".join(re.findall(r"--extra (\w+)", command))
    imports = "; ".join(f"import {module}" for module in MODULES[extras])
    programs: list[list[str | Path]] = [
        [venv / "bin" / "python", "-c", imports],
        [venv / "bin" / "stt", "--version"],
    ]
    for program in programs:
        ended = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert ended.returncode == 0, ended.stderr
