"""The load run of a coordinator, small."""

import json
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.faults


def test_a_coordinator_under_load_and_flood_loses_nothing() -> None:
    flags = "--seconds 5 --nodes 4 --browsers 2 --uploads 1 --idle 300 --trickling 20 --files 300"
    ended = subprocess.run(
        [sys.executable, ROOT / "tools" / "load_coordinator.py", *flags.split()],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(ended.stdout)
    assert found["lost"] == []
    assert found["health"]["failed"] == 0
    assert found["crowd"]["chunks claimed"] > 0
    assert found["crowd"]["pages opened"] >= 2
    assert found["flood"]["idle closed by the server"] > 0
