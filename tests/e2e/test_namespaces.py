"""Nodes that have a network of their own, and no way to the database: real ones, under Linux."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.mongo_process import missing
from tests.support.pace import scaled
from tests.support.paths import ROOT
from tools.chaos_lab import network

pytestmark = pytest.mark.faults

NAMESPACES = [sys.executable, str(ROOT / "tools" / "namespaces.py")]


@pytest.fixture(autouse=True)
def _can_make_namespaces() -> None:
    if lacking := network.missing_for_namespaces():
        missing(f"network namespaces need {lacking}")


def test_a_node_that_was_cut_off_is_refused_and_every_chunk_is_done_once(tmp_path: Path) -> None:
    flags = ["--chunks", "30", "--lease", f"{scaled(2)}", "--keep", str(tmp_path / "logs")]
    with subprocess.Popen(
        [*NAMESPACES, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"COLUMNS": "120"},
    ) as trial:
        printed, _ = trial.communicate(timeout=600)
    assert trial.returncode == 0, printed
    nodes = re.findall(r"│ (node \d) │ \S+ +│ (.+?) +│ reached +│ (\d+) +│", printed)
    assert [(name, database) for name, database, _ in nodes] == [
        ("node 1", "Connection refused"),
        ("node 2", "Connection refused"),
    ]
    assert sum(int(results) for _, _, results in nodes) == 30
    assert re.search(r"node 1 after [\d.]+ s on its own: .*(complete|renew) refused", printed)
    assert "30 chunks, 30 transcribed, 0 breaches" in printed
    assert network.namespaces_of(trial.pid) == []


def test_ctrl_c_takes_the_namespaces_down(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*NAMESPACES, "--keep", str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as trial:
        deadline = time.monotonic() + 180
        while len(network.namespaces_of(trial.pid)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        trial.send_signal(signal.SIGINT)
        printed, _ = trial.communicate(timeout=180)
    assert trial.returncode == 130, printed
    assert "Interrupted" in printed
    assert network.namespaces_of(trial.pid) == []


def test_what_a_killed_trial_left_goes_with_the_next_one() -> None:
    left = subprocess.Popen(["true"])
    left.wait()
    namespace = f"stt-{left.pid}-1"
    subprocess.run(["ip", "netns", "add", namespace], check=True)
    with network.network(1) as net:
        assert network.namespaces_of(left.pid) == []
        assert len(network.namespaces_of()) == len(net.machines) == 1
    assert network.namespaces_of() == []
