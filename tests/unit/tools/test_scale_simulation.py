"""Fleets in simulated time: the goals of a start, with real planners and a queue in memory."""

import pytest

from tools import bench_scale
from tools.scale_lab.goals import Goals
from tools.scale_lab.simulation import Counts, FleetPlan, Simulation


def simulated(workers: int, chunks: int, **plan: float) -> Simulation:
    simulation = Simulation(FleetPlan(workers, chunks, start_seconds=0.1, **plan))  # type: ignore[arg-type]
    simulation.run()
    return simulation


def busy(simulation: Simulation) -> Counts:
    assert simulation.until_busy is not None
    return simulation.until_busy


@pytest.mark.parametrize("chunks_of_recording", [120, 1])
def test_workers_that_start_at_once_rarely_collide(chunks_of_recording: int) -> None:
    simulation = simulated(200, 200_000, chunks_of_recording=chunks_of_recording, seconds=20)
    for counts in (busy(simulation), simulation.counts):
        assert counts.misses_per_chunk <= 0.3
        assert counts.pages / 200 <= 3


def test_a_lone_worker_goes_from_the_front_to_the_back() -> None:
    counts = simulated(1, 10_000, seconds=100).counts
    assert counts.misses == 0
    assert counts.furthest < counts.chunks + 20  # a run or two ahead


def test_a_fleet_takes_the_old_before_the_new_by_and_large() -> None:
    assert simulated(3, 100_000, seconds=60).counts.furthest < 1_000


def test_a_fleet_does_every_chunk_once() -> None:
    simulation = simulated(30, 2_000, seconds=300)
    assert simulation.counts.chunks == 2_000


def test_goals_that_are_missed_make_the_exit_code() -> None:
    run = ["--only", "simulation", "--simulated-workers", "20", "--simulated-chunks", "20000"]
    assert bench_scale.main([*run, "--simulated-seconds", "5"]) == 0
    goals = Goals()
    goals.judge("misses", 0.4, 0.3)
    assert not goals.are_met
