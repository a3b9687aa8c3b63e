"""The builder of the one-file worker, as far as it goes without building for a minute."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.support.paths import ROOT

TOOL = ROOT / "tools" / "build_worker.py"


def test_without_the_builder_it_says_what_to_install(tmp_path: Path) -> None:
    """Isolated, so that no library is found: PyInstaller may be there or not."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", TOOL],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    extras = re.findall(r"\[([\w,]+)\]", line)[0].split(",")
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(extras) <= set(known["optional-dependencies"])
    assert list(tmp_path.iterdir()) == []
