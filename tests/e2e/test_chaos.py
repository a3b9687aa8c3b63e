"""The chaos tool, short: a whole fleet under faults, and deliberate breaks that it must catch."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.mongo_process import missing
from tests.support.paths import ROOT
from tools.chaos_lab import mutation_table, storm
from tools.chaos_lab.clock import has_clock_faker

pytestmark = pytest.mark.faults

SEED = 3
MOST_STORMS = 3
CHAOS = [sys.executable, str(ROOT / "tools" / "chaos.py")]


def test_a_fleet_under_faults_loses_nothing_and_writes_nothing_twice(tmp_path: Path) -> None:
    if not has_clock_faker():
        missing("faketime: apt-get install faketime")
    flags = ["--seconds", "22", "--every", "0.7", "--lease", "2", "--workers", "4"]
    flags += ["--chunks", "120"]
    flags += ["--real-servers", "0", "--seed", str(SEED), "--keep", str(tmp_path / "logs")]
    ended = subprocess.run(
        [*CHAOS, *flags], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"seed {SEED}: 120 chunks, 116 transcribed, 4 in quarantine, 0 breaches" in ended.stdout
    struck = dict(re.findall(r"│ (\S.*?\S) +│ +(\d+) │", ended.stdout))
    assert sum(int(struck[kind]) > 0 for kind in storm.Plan().kinds) >= 15
    assert int(struck["takeovers"]) > 0
    assert int(struck["fenced writes"]) > 0


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("no-fence", {"fence"}),
        ("no-renewal", {"renewal"}),
        ("client-clock", {"early-recovery"}),
    ],
)
def test_a_broken_protocol_is_caught(name: str, rules: set[str], tmp_path: Path) -> None:
    if name == "client-clock" and not has_clock_faker():
        missing("faketime: apt-get install faketime")
    # A storm may miss the moment that shows it.
    storms = (mutation_table.short_storm(name, SEED + number) for number in range(MOST_STORMS))
    results = (storm.run(plan, tmp_path / str(plan.seed), quiet=True) for plan in storms)
    assert any(mutation_table.rules_broken(result).keys() & rules for result in results)


def test_ctrl_c_leaves_no_process_behind(tmp_path: Path) -> None:
    flags = ["--workers", "2", "--real-servers", "0", "--seed", str(SEED), "--keep", str(tmp_path)]
    with subprocess.Popen(
        [*CHAOS, *flags], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as chaos:
        assert chaos.stdout is not None
        for line in chaos.stdout:
            if "in work" in line:
                break
        assert processes_in(tmp_path)
        chaos.send_signal(signal.SIGINT)
        _, err = chaos.communicate(timeout=60)
    assert chaos.returncode == 130, err
    assert err == ""
    assert processes_in(tmp_path) == []


def test_its_processes_end_with_it_even_if_it_is_killed(tmp_path: Path) -> None:
    flags = ["--workers", "2", "--real-servers", "0", "--seed", str(SEED), "--keep", str(tmp_path)]
    with subprocess.Popen([*CHAOS, *flags], cwd=tmp_path, stdout=subprocess.PIPE) as chaos:
        assert chaos.stdout is not None
        chaos.stdout.readline()
        deadline = time.monotonic() + 180
        while len(processes_in(tmp_path)) < 5:  # a database, two servers, two workers
            assert time.monotonic() < deadline
            time.sleep(0.05)
        chaos.kill()
    while processes_in(tmp_path):
        assert time.monotonic() < deadline, processes_in(tmp_path)
        time.sleep(0.05)


@pytest.mark.parametrize("flags", [["--chunks", "0"], ["--workers", "1"], ["--seconds", "no"]])
def test_wrong_usage_is_one_line_and_exit_code_2(flags: list[str]) -> None:
    ended = subprocess.run([*CHAOS, *flags], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert flags[0] in ended.stderr.splitlines()[-1]


def processes_in(folder: Path) -> list[str]:
    """Command lines of live processes that name this folder or work in it."""
    listed = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,stat=,args="], capture_output=True, text=True
    )
    return [
        line
        for line in listed.stdout.splitlines()
        if str(folder) in line
        and "chaos.py" not in line
        and line.split()[1][0] != "Z"
        and int(line.split()[0]) != os.getpid()
    ]
