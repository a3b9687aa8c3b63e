"""A fleet of real workers whose only server dies for a while: nothing is lost, nothing charged."""

import subprocess
import sys

import pytest

from tests.support.mongo_process import missing
from tests.support.paths import ROOT
from tools.bench_fleet import find_program

pytestmark = pytest.mark.faults


def test_a_fleet_outlives_its_only_server_and_goes_on_by_itself() -> None:
    if find_program("secantusd-py") is None:
        missing("the embedded database: pip install 'stt-fleet[embedded]'")
    command = [sys.executable, "tools/outage.py", "--workers", "3", "--seconds", "4"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "attempts charged" in ended.stdout
    assert "BREACH" not in ended.stdout
