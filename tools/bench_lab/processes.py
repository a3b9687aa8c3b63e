"""Runs contestants in processes of their own and hands on what they say."""

import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

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
    limit_seconds: float = math.inf,
    module: str = "tools.bench_lab.contestants",
    scenario_seconds: float = math.inf,
) -> Iterator[Result]:
    """A result for each scenario, as they end; raises `ContestantFailed`, also past the limit.

    A scenario that would not end within the limit is left out.
    """
    until = time.time() + limit_seconds
    task = contestants.Task(kind, model, number, tuple(scenarios), scenario_seconds, until)
    for told in told_by(module, task.to_json(), limit_seconds):
        yield Result(**told)


def run_ceiling(
    model: ModelAt,
    shapes: Sequence[Shape],
    scenarios: Sequence[Scenario],
    shape_seconds: float | None = None,
    sweep_seconds: float = math.inf,
    limit_seconds: float = math.inf,
) -> Iterator[tuple[Shape, Result]]:
    """A result for each shape and scenario, as they end; raises `ContestantFailed`.

    The first scenario is measured in all shapes, the others in the best of them. No batch begins
    after `shape_seconds` of a shape, no shape but the best after `sweep_seconds`; the process is
    ended after `limit_seconds`.
    """
    until = time.time() + sweep_seconds
    task = ceiling.Task(model, tuple(shapes), tuple(scenarios), shape_seconds, until)
    for told in told_by("tools.bench_lab.ceiling", task.to_json(), limit_seconds):
        yield Shape(**told["shape"]), Result(**told["result"])


def told_by(module: str, task: str, limit_seconds: float = math.inf) -> Iterator[dict[str, Any]]:
    """The objects of JSON that a module prints about a task, until its time is over.

    Other lines are those of libraries. Raises `ContestantFailed`.
    """
    began = time.monotonic()
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
        watchdog = threading.Timer(min(limit_seconds, threading.TIMEOUT_MAX), process.kill)
        watchdog.daemon = True
        watchdog.start()
        with process:
            assert process.stdout is not None
            try:
                yield from (json.loads(line) for line in process.stdout if line.startswith("{"))
            except BaseException:
                process.terminate()
                raise
            finally:
                watchdog.cancel()
        if process.returncode:
            said.seek(0)
            last = said.read()[-2000:]
            is_late = time.monotonic() - began >= limit_seconds
            end = "ran out of time" if is_late else f"ended with {process.returncode}"
            raise ContestantFailed(f"{module} {end}:\n{last}")
