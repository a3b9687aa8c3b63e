"""The wheel and the sdist install and run in empty virtual environments.

The dependencies come from the package index, in the locked versions.
"""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from stt import __version__
from tests.support.paths import ROOT

pytestmark = pytest.mark.install

BUILD_SECONDS = INSTALL_SECONDS = 600


def run(*command: str | Path, cwd: Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    names = ("PATH", "HOME", "LANG", "TMPDIR")
    kept = {n: v for n, v in os.environ.items() if n in names or n.startswith("PIP_")}
    kept["STT_KEEP_ALIVE_SECONDS"] = "0"
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd, env=kept, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the sdist, which the wheel is built from."""
    folder = tmp_path_factory.mktemp("dist")
    command = (sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    done = run(*command, cwd=folder, timeout=BUILD_SECONDS)
    assert done.returncode == 0, done.stderr
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def test_they_have_the_names_of_the_distribution(built: tuple[Path, Path]) -> None:
    wheel, sdist = built
    assert wheel.name == f"stt_fleet-{__version__}-py3-none-any.whl"
    assert sdist.name == f"stt_fleet-{__version__}.tar.gz"


def test_the_wheel_has_the_packages_with_their_data_and_nothing_else(
    built: tuple[Path, Path],
) -> None:
    names = set(zipfile.ZipFile(built[0]).namelist())
    assert {name.partition("/")[0] for name in names} == {
        "stt", "whisper_server", f"stt_fleet-{__version__}.dist-info",
    }  # fmt: skip
    assert {"stt/py.typed", "whisper_server/py.typed", "stt/whisper/canary.ogg"} <= names
    assert "stt/coordinator/web/shell.html" in names
    assert not any(name.endswith(".bin") for name in names)


def test_the_sdist_has_what_tests_and_documents_need(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "pyproject.toml",
        "README.md",
        "CHANGELOG.md",
        "tests/conftest.py",
        "mkdocs.yml",
    } <= names


def test_it_installs_and_runs_in_an_empty_environment(
    built: tuple[Path, Path], tmp_path: Path
) -> None:
    distribution, _ = built
    venv = tmp_path / "venv"
    made = run(sys.executable, "-m", "venv", venv, cwd=tmp_path, timeout=INSTALL_SECONDS)
    assert made.returncode == 0, made.stderr
    pip = (venv / "bin" / "python", "-m", "pip", "install", "--quiet", "--constraint")
    installed = run(
        *pip, ROOT / "requirements.lock", distribution, cwd=tmp_path, timeout=INSTALL_SECONDS
    )
    assert installed.returncode == 0, installed.stderr

    stt = venv / "bin" / "stt"
    assert run(stt, "--version", cwd=tmp_path).stdout == f"stt {__version__}\n"
    without_database = run(stt, "status", cwd=tmp_path)
    assert without_database.returncode == 3
    assert "pip install 'stt-fleet[embedded]'" in without_database.stderr
    server = run(venv / "bin" / "whisper-server", cwd=tmp_path)
    assert server.returncode == 3
    assert "pip install 'stt-fleet[server]'" in server.stderr
