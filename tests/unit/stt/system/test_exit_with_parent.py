"""A module that ends when its parent does."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "stt.system.exit_with_parent"]


@pytest.fixture
def module(tmp_path: Path) -> Path:
    (tmp_path / "waits.py").write_text(
        "import sys, time\nprint(sys.argv[1:], flush=True)\ntime.sleep(600)\n"
    )
    return tmp_path


def test_it_runs_the_module_with_its_arguments_until_standard_input_ends(module: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "waits", "--port", "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": f"{module}:{Path.cwd()}"},
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"['--port', '1']\n"
        assert process.poll() is None
        process.stdin.close()
        process.wait(120)
    assert process.returncode == -signal.SIGTERM
