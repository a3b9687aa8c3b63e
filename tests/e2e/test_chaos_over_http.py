"""The chaos tool with nodes that know coordinators alone: a short storm."""

from pathlib import Path

from tests.mongo_process import missing
from tools import chaos
from tools.chaos_lab import http_faults, storm
from tools.chaos_lab.clock import has_clock_faker
from tools.chaos_lab.fleet import Fleet
from tools.chaos_lab.stand_in import Pace

SEED = 3
OTHERS = (
    "worker killed",
    "database killed",
    "database answer lost",
    "cleanup by tool",
)
"""Of the faults that a fleet without coordinators has, too."""


def test_coordinators_under_faults_tell_their_nodes_the_truth(tmp_path: Path) -> None:
    if not has_clock_faker():
        missing("faketime: apt-get install faketime")
    fleet = Fleet(
        workers=1,
        nodes=2,
        coordinators=2,
        chunks=50,
        real_servers=0,
        calls_at_once=1,
        poisons=0,
        chunk_timeout=12.0,
        pace=Pace(0.2, 1.5, slow=4.5, slow_share=0.05),
    )
    kinds = (*http_faults.KINDS, *OTHERS)
    plan = storm.Plan(12.0, SEED, 0.7, kinds, calm_seconds=30.0, fleet=fleet)
    result = storm.run(plan, tmp_path, quiet=True)
    assert result.report.breaches == ()
    assert (result.progress.transcribed, result.progress.failed) == (50, 0)
    assert sum(result.faults[kind] > 0 for kind in http_faults.KINDS) >= 4
    assert result.report.summary["nodes told: result taken"] > 0
    assert result.report.summary["takeovers"] > 0


def test_over_http_most_workers_know_a_coordinator_alone() -> None:
    plan = chaos.plan_of(["--over-http", "--workers", "8"])
    assert (plan.fleet.workers, plan.fleet.nodes, plan.fleet.coordinators) == (2, 6, 2)
    assert http_faults.KINDS.keys() <= set(plan.kinds)
