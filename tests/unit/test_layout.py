"""The tree speaks: small modules, and for each one that does something, tests of the same name."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

MAX_LINES = 300
MODULES = sorted(
    path.relative_to(ROOT)
    for package in ("stt", "whisper_server")
    for path in (ROOT / package).rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py")
)


def has_functions(module: Path) -> bool:
    """Return whether it is more than data: constants, fields and types."""
    tree = ast.parse((ROOT / module).read_text())
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in ast.walk(tree))


def test_there_are_modules_to_check() -> None:
    assert Path("stt/store/claims.py") in MODULES
    assert has_functions(Path("stt/store/claims.py"))


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_has_a_size_that_one_reads_at_a_sitting(module: Path) -> None:
    assert len((ROOT / module).read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("module", [module for module in MODULES if has_functions(module)], ids=str)
def test_a_module_has_tests_of_its_name(module: Path) -> None:
    name = f"test_{module.stem}.py"
    places = [ROOT / "tests" / kind / module.parent / name for kind in ("unit", "integration")]
    assert any(place.exists() for place in places), f"write tests/unit/{module.parent}/{name}"


def test_what_runs_on_windows_imports_there() -> None:
    """A stand-in for Windows: a Python without the modules that only POSIX systems have."""
    program = (
        "import filelock, psutil, sys\n"
        "sys.modules.update(dict.fromkeys(('fcntl', 'grp', 'pwd', 'resource', 'termios')))\n"
        "import stt.cli.app, stt.node.agent, stt.node.page, stt.worker.worker\n"
        "import whisper_server.__main__, whisper_server.server\n"
        "print('imported')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.stdout, done.stderr) == ("imported\n", "")
