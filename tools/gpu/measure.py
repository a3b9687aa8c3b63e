"""Measure on a card, within nine minutes: our server, its peers, the ceiling, and each stage.

    tools/gpu/card.sh measure FOLDER             # which sets the paths; or, without a card:
    DEVICE=cpu tools/gpu/card.sh measure FOLDER  # a dry run: tiny models, seconds for each section

FOLDER/found.json is written anew after each row, and FOLDER/tables.md, with tables, goals and what
was not reached, after each section: a run that is cut off loses nothing. Sections come in the order
of what they decide, and each has so many seconds (tools/gpu/plan.py); one that fails or runs out of
time leaves what it has, and its error.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__" and __package__ is None:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tools.bench_lab.processes import ContestantFailed
from tools.bench_lab.server import ServerBroken
from tools.gpu import summary
from tools.gpu.measurement import Measurement, NotReached, Recordings
from tools.gpu.plan import LIMIT_SECONDS, MODELS, PLANS, STEPS
from tools.gpu.sections import SECTIONS
from whisper_server.hardware import cards, usable_cores


@dataclass
class Found:
    """What was found so far, in files; `rows` by model and section."""

    folder: Path
    machine: dict[str, Any]
    models: dict[str, dict[str, Any]] = field(default_factory=dict)

    def begin(self, model: str, section: str) -> dict[str, Any]:
        entry: dict[str, Any] = {"rows": [], "seconds": None, "error": None}
        self.models.setdefault(model, {})[section] = entry
        return entry

    def write(self) -> None:
        draft = self.folder / "found.part"
        draft.write_text(json.dumps({"machine": self.machine, "models": self.models}, indent=1))
        draft.replace(self.folder / "found.json")

    def summarize(self) -> str:
        text = summary.as_text(self.machine, self.models)
        (self.folder / "tables.md").write_text(text)
        return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 1 if a section failed."""
    options = _parser().parse_args(arguments)
    deadline = time.monotonic() + options.seconds
    plan = PLANS[options.device]
    options.out.mkdir(parents=True, exist_ok=True)
    found = Found(options.out, _machine())
    with tempfile.TemporaryDirectory(prefix="stt-gpu-") as work:
        recordings = Recordings(Path(work), plan.clip_count)
        models = [
            Measurement(size, options.models.resolve() / size, plan, Path(work), recordings)
            for size in options.sizes
        ]
        for number, section, seconds in STEPS:
            if number < len(models):
                models[number].best = models[number].best or models[0].best
                until = min(time.monotonic() + seconds * plan.scale, deadline)
                _measure(models[number], section, until, found)
                found.summarize()
    print(found.summarize())
    failed = [entry for one in found.models.values() for entry in one.values() if entry["error"]]
    return 1 if failed else 0


def _measure(of: Measurement, section: str, deadline: float, found: Found) -> None:
    """Run a section until its own end or the deadline."""
    began = time.monotonic()
    entry = found.begin(of.size, section)
    print(f"{of.size}, {section}: {max(0.0, deadline - began):.0f} s", flush=True)
    try:
        if began >= deadline:
            raise NotReached("no time was left")
        for row in SECTIONS[section](of, deadline):
            entry["rows"].append(row)
            found.write()
            print(f"  {summary.line(row)}", flush=True)
    except Exception as error:  # the next section must run
        known = isinstance(error, (NotReached, ContestantFailed, ServerBroken))
        entry["error"] = ("" if known else f"{type(error).__name__}: ") + str(error)[-2000:]
        print(f"  {entry['error']}", flush=True)
    entry["seconds"] = round(time.monotonic() - began, 1)
    found.write()


def _machine() -> dict[str, Any]:
    card = next(iter(cards()), None)
    return {
        "card": card.name if card else None,
        "card_bytes": card.memory_bytes if card else None,
        "cores": usable_cores(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=PLANS, required=True)
    parser.add_argument("--models", type=Path, required=True, help="the folder of the models")
    parser.add_argument("--sizes", nargs="+", choices=MODELS, required=True, help="the first most")
    parser.add_argument("--out", type=Path, required=True, help="the folder for what is found")
    parser.add_argument("--seconds", type=float, default=LIMIT_SECONDS, help="at most, in all")
    return parser


if __name__ == "__main__":
    sys.exit(main())
