"""Runs contestants in processes of their own and hands on what they say."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.bench_lab import ceiling, contestants
from tools.bench_lab.ceiling import Shape
from tools.bench_lab.contestants import ModelAt, Result, Scenario

ROOT = Path(__file__).resolve().parents[2]


class ContestantFailed(Exception):
    """`str()` of it is the end of what its process said."""


def run_contestant(
    kind: str, model: ModelAt, number: int, scenarios: Sequence[Scenario]
) -> Iterator[Result]:
    """A result for each scenario, as they end; raises `ContestantFailed`."""
    task = contestants.Task(kind, model, number, tuple(scenarios))
    for line in _lines_of("tools.bench_lab.contestants", task.to_json()):
        yield Result(**json.loads(line))


def run_ceiling(
    model: ModelAt, shapes: Sequence[Shape], scenarios: Sequence[Scenario]
) -> Iterator[tuple[Shape, Result]]:
    """A result for each shape and scenario, as they end; raises `ContestantFailed`."""
    task = ceiling.Task(model, tuple(shapes), tuple(scenarios))
    for line in _lines_of("tools.bench_lab.ceiling", task.to_json()):
        told = json.loads(line)
        yield Shape(**told["shape"]), Result(**told["result"])


def _lines_of(module: str, task: str) -> Iterator[str]:
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
        with process:
            assert process.stdout is not None
            try:
                yield from process.stdout
            except BaseException:
                process.terminate()
                raise
        if process.returncode:
            said.seek(0)
            last = said.read()[-2000:]
            raise ContestantFailed(f"{module} ended with {process.returncode}:\n{last}")
