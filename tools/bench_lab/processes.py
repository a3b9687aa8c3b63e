"""Runs contestants in processes of their own and hands on what they say."""

import json
import math
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.bench_lab import ceiling, contestants
from tools.bench_lab.ceiling import Shape
from tools.bench_lab.contestants import ModelAt, Result, Scenario

ROOT = Path(__file__).resolve().parents[2]


class ContestantFailed(Exception):
    """`str()` of it is the end of what its process said."""


def run_contestant(
    kind: str,
    model: ModelAt,
    number: int,
    scenarios: Sequence[Scenario],
    limit_seconds: float | None = None,
    module: str = "tools.bench_lab.contestants",
    scenario_seconds: float = math.inf,
) -> Iterator[Result]:
    """A result for each scenario, as they end; raises `ContestantFailed`, also past the limit."""
    task = contestants.Task(kind, model, number, tuple(scenarios), scenario_seconds)
    for line in lines_of(module, task.to_json(), limit_seconds):
        yield Result(**json.loads(line))


def run_ceiling(
    model: ModelAt,
    shapes: Sequence[Shape],
    scenarios: Sequence[Scenario],
    shape_seconds: float | None = None,
    limit_seconds: float | None = None,
) -> Iterator[tuple[Shape, Result]]:
    """A result for each shape and scenario, as they end; raises `ContestantFailed`.

    No batch begins after `shape_seconds` of a shape; the process is ended after `limit_seconds`.
    """
    task = ceiling.Task(model, tuple(shapes), tuple(scenarios), shape_seconds)
    for line in lines_of("tools.bench_lab.ceiling", task.to_json(), limit_seconds):
        told = json.loads(line)
        yield Shape(**told["shape"]), Result(**told["result"])


def lines_of(module: str, task: str, limit_seconds: float | None = None) -> Iterator[str]:
    """What a module prints about a task, line by line, until its time is over.

    Raises `ContestantFailed`.
    """
    with tempfile.TemporaryFile("w+") as said, tempfile.NamedTemporaryFile("w") as told:
        told.write(task)
        told.flush()
        process = subprocess.Popen(
            [sys.executable, "-m", module, told.name],
            cwd=ROOT,
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
        watchdog = threading.Timer(limit_seconds or threading.TIMEOUT_MAX, process.kill)
        watchdog.daemon = True
        watchdog.start()
        with process:
            assert process.stdout is not None
            try:
                yield from process.stdout
            except BaseException:
                process.terminate()
                raise
            finally:
                watchdog.cancel()
        if process.returncode:
            said.seek(0)
            last = said.read()[-2000:]
            raise ContestantFailed(f"{module} ended with {process.returncode}:\n{last}")
