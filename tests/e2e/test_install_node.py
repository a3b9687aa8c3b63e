"""tools/install-node.sh in an empty HOME: installed, updated, uninstalled, and refused.

To be quick, and to do without a network, it installs a wheel of the right name that holds nothing
but the command; the code is this checkout's, by PYTHONPATH, and so are the libraries.
"""

import shutil
import stat
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stt.store.database import Database
from tests.support.coordinator_app import CoordinatorThread, running_coordinator
from tests.support.paths import ROOT

pytestmark = pytest.mark.install

SCRIPT = ROOT / "tools" / "install-node.sh"
# More than the checkout's version, or pip would find it installed already.
VERSION = "9.9"
_FILES = {
    "METADATA": f"Metadata-Version: 2.1\nName: stt-fleet\nVersion: {VERSION}\n"
    "Provides-Extra: node\nProvides-Extra: server\n",
    "WHEEL": "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "entry_points.txt": "[console_scripts]\nstt = stt.cli.app:main\n",
}


@dataclass(frozen=True)
class Machine:
    """A home, and the installer in it."""

    home: Path
    wheel: Path

    def install(self, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run("sh", str(SCRIPT), *flags, **environment)

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {
            "HOME": str(self.home),
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "PYTHONPATH": f"{sysconfig.get_path('purelib')}:{ROOT}",
            "PIP_NO_INDEX": "1",
        }
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=self.home.parent,
            env=clean | environment,
            timeout=180,
            check=False,
        )

    def files(self) -> set[str]:
        """All but the virtual environment's own."""
        found = {path.relative_to(self.home) for path in self.home.rglob("*") if path.is_file()}
        return {str(path) for path in found if "venv" not in path.parts}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    home = tmp_path / "a home"
    home.mkdir()
    wheel = tmp_path / f"stt_fleet-{VERSION}-py3-none-any.whl"
    folder = f"stt_fleet-{VERSION}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in _FILES.items():
            archive.writestr(f"{folder}/{name}", text)
        lines = [f"{folder}/{name},," for name in (*_FILES, "RECORD")]
        archive.writestr(f"{folder}/RECORD", "\n".join(lines))
    return Machine(home, wheel)


@pytest.fixture
def coordinator(database: Database, tmp_path: Path) -> Iterator[CoordinatorThread]:
    with running_coordinator(database, tmp_path / "coordinator") as coordinator:
        yield coordinator


def names(coordinator: CoordinatorThread) -> list[str]:
    with coordinator.person() as person:
        return [node["name"] for node in person.get("/api/nodes").json()["nodes"]]


def join_code(coordinator: CoordinatorThread) -> str:
    with coordinator.person() as person:
        return str(person.post("/api/nodes/join-codes").json()["code"])


def test_a_machine_joins_is_updated_and_leaves_without_a_trace(
    machine: Machine, coordinator: CoordinatorThread
) -> None:
    flags = ("--from", str(machine.wheel), "--light", "--as", "script")
    joined = machine.install(
        *flags, "--server", coordinator.url, "--name", "M4 'Mac'", "--code", join_code(coordinator)
    )
    assert joined.returncode == 0, joined.stderr
    assert names(coordinator) == ["M4 'Mac'"]
    credentials = machine.home / ".config" / "stt" / "node.json"
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
    registered = credentials.read_bytes()

    update = machine.install("--from", str(machine.wheel), "--whisper-url", "ftp://it's a b")
    assert update.returncode == 0, update.stderr
    assert "registered already" in update.stdout
    assert credentials.read_bytes() == registered
    assert names(coordinator) == ["M4 'Mac'"]
    start = machine.home / ".local" / "share" / "stt-node" / "start-node.sh"
    assert str(start) in update.stdout, "--as is remembered"
    refused = machine.run(str(start))
    assert refused.returncode == 2
    reason = '"ftp://it\'s a b" is not a URL'
    assert reason in refused.stdout + refused.stderr, "it arrives as it was given"

    mine = credentials.parent / ".env"
    mine.write_text("STT_MODEL=base\n")
    before = machine.files()
    credentials.write_bytes(registered.replace(coordinator.url.encode(), b"http://127.0.0.1:1"))
    refused = machine.install("--uninstall")
    assert refused.returncode == 1
    assert "nothing is removed yet" in refused.stderr, "the coordinator did not answer"
    assert machine.files() == before

    credentials.write_bytes(registered)
    gone = machine.install("--uninstall")
    assert gone.returncode == 0, gone.stderr
    assert names(coordinator) == []
    assert machine.files() == {".config/stt/.env"}, "what it has not made it does not remove"
    assert f"Left alone: {credentials.parent}" in gone.stdout
    assert "no node of this script" in machine.install("--uninstall").stdout


def test_a_folder_that_it_has_not_made_is_left_alone(machine: Machine) -> None:
    foreign = machine.home / ".local" / "share" / "stt-node" / "venv" / "precious"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("mine")
    refused = machine.install("--from", str(machine.wheel), "--light")
    assert refused.returncode == 1
    assert "not by this script" in refused.stderr
    assert machine.install("--uninstall").returncode == 0
    assert foreign.read_text() == "mine"


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--server"], 2, "--server wants a value"),
        (["--server", ""], 2, "--server wants a value"),
        (["--as", "cron"], 2, "--as is service, script or manual"),
        (["--frobnicate"], 2, "I do not know --frobnicate"),
        (["--from", "/absent"], 1, "--from /absent: there is nothing"),
        (["--python", "/bin/false"], 1, "/bin/false is not Python 3.11 or newer"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_nothing_is_made(
    machine: Machine, flags: list[str], code: int, words: str
) -> None:
    refused = machine.install(*flags)
    assert refused.returncode == code
    assert words in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert machine.files() == set()


def test_an_old_python_is_named_and_so_is_the_way_to_a_new_one(machine: Machine) -> None:
    folder = machine.home.parent / "bin"
    folder.mkdir()
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        (folder / name).write_text('#!/bin/sh\n[ "$1" = -V ] && echo "Python 3.9.6"\nexit 1\n')
        (folder / name).chmod(0o755)
    refused = machine.install(PATH=f"{folder}:/usr/bin:/bin")
    assert refused.returncode == 1
    assert "brew install" in refused.stderr


def test_without_a_home_it_does_not_guess_one(machine: Machine) -> None:
    refused = machine.install(HOME="")
    assert refused.returncode == 1
    assert "HOME" in refused.stderr


def test_the_scripts_are_plain_posix() -> None:
    for script in sorted((ROOT / "tools").glob("*.sh")):
        shell = shutil.which("dash") or "sh"
        checked = subprocess.run([shell, "-n", script], capture_output=True, check=False)
        assert checked.returncode == 0, checked.stderr
        assert b"\r" not in script.read_bytes()
    for script in sorted((ROOT / "tools").glob("*.bat")):
        text = script.read_bytes()
        assert text.count(b"\r\n") == text.count(b"\n") > 0, "cmd.exe wants its own line ends"
