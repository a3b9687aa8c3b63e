"""Measure on a card, within nine minutes: our server, its peers, the ceiling, and each stage.

    tools/gpu/card.sh measure FOLDER             # which sets the paths; or, without a card:
    DEVICE=cpu tools/gpu/card.sh measure FOLDER  # a dry run: tiny models, seconds for each section

FOLDER/found.json is written anew after each row, so that a run that is cut off loses nothing. In
the end FOLDER/tables.md has the tables and the goals. Every section has so many seconds
(tools/gpu/plan.py); one that fails or runs out of time leaves what it has, and its error.
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

from stt.media.audio import BadAudio
from tools.bench_lab.processes import ContestantFailed
from tools.bench_lab.server import ServerBroken
from tools.gpu import summary
from tools.gpu.plan import LIMIT_SECONDS, MODELS, PLANS
from tools.gpu.sections import SECTIONS, Measurement
from whisper_server.hardware import cards, usable_cores


@dataclass
class Found:
    """What was found so far, in a file; `rows` by model and section."""

    path: Path
    machine: dict[str, Any]
    models: dict[str, dict[str, Any]] = field(default_factory=dict)

    def begin(self, model: str, section: str) -> dict[str, Any]:
        entry: dict[str, Any] = {"rows": [], "seconds": None, "error": None}
        self.models.setdefault(model, {})[section] = entry
        return entry

    def write(self) -> None:
        draft = self.path.with_suffix(".part")
        draft.write_text(json.dumps({"machine": self.machine, "models": self.models}, indent=1))
        draft.replace(self.path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 1 if a section failed."""
    options = _parser().parse_args(arguments)
    plan = PLANS[options.device]
    options.out.mkdir(parents=True, exist_ok=True)
    found = Found(options.out / "found.json", _machine())
    deadline = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory(prefix="stt-gpu-") as work:
        for number, size in enumerate(options.sizes):
            chosen = plan if number == 0 else plan.shortened()
            measurement = Measurement(size, options.models.resolve() / size, chosen, Path(work))
            _measure(measurement, chosen.sections(number == 0), found, deadline)
    text = summary.as_text(found.machine, found.models)
    (options.out / "tables.md").write_text(text)
    print(text)
    failed = [
        f"{model}, {name}: {entry['error']}"
        for model, sections in found.models.items()
        for name, entry in sections.items()
        if entry["error"]
    ]
    print("\n".join(failed), file=sys.stderr)
    return 1 if failed else 0


def _measure(
    measurement: Measurement, sections: dict[str, float], found: Found, deadline: float
) -> None:
    """Run the sections of a model, each until its own end or that of the whole run."""
    for name, seconds in sections.items():
        began = time.monotonic()
        entry = found.begin(measurement.size, name)
        if began >= deadline:
            entry["error"] = "no time was left"
            found.write()
            continue
        print(f"{measurement.size}, {name}: {min(seconds, deadline - began):.0f} s", flush=True)
        try:
            for row in SECTIONS[name](measurement, min(began + seconds, deadline)):
                entry["rows"].append(row)
                found.write()
                print(f"  {summary.line(row)}", flush=True)
        except (ContestantFailed, ServerBroken, BadAudio, OSError) as error:
            entry["error"] = str(error)[-2000:]
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
