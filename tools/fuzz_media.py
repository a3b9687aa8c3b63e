"""Damaged recordings through the reader, for some minutes: no file may end the program.

    python tools/fuzz_media.py --minutes 10
    python tools/fuzz_media.py --minutes 1 --seed 7 --save findings
    python tools/fuzz_media.py --file findings/crash-7-1234.mkv     # what became of it, once more
    python tools/fuzz_media.py --minutes 1 --here                   # without decoder processes

Makes short files in 26 forms, damages them (flipped bits, numbers set to extremes, parts cut out,
repeated, or taken from another file), and reads each as the programs do. File N of a seed is always
the same. A process of its own stands for the coordinator or the worker; it must outlive all files.
Files that crash, swell or occupy a decoder, that take more than 10 s, or that make it fail with an
error that is not the reader's, are written to `--save`.

Exit codes: 0 the goals were met, 1 one was not: a crash of the parent, or 400 MB or more.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # run as a script: its own folder is on the path, and not the project's
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from tools.fuzz_lab.mutations import mutated
from tools.fuzz_lab.reading import Readers, ending_of
from tools.fuzz_lab.seeds import make_seeds

GOAL_MB = 400


class Run:
    """A run of parents, one after the other if they crash, and what it has found."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._seeds = make_seeds()
        self.counts: Counter[str] = Counter()
        self.crashes = 0
        self.peak_mb = 0
        self.seconds = 0.0

    def go(self) -> None:
        began, first = time.monotonic(), 0
        wanted_seconds = self._arguments.minutes * 60
        last = self._arguments.files
        while (left := wanted_seconds - (time.monotonic() - began)) > 0:
            code, first = self._one_parent(first, left)
            if code == 0:
                break
            self.crashes += 1
            if last is not None and first >= last:
                break
        self.seconds = time.monotonic() - began

    def _one_parent(self, first: int, seconds: float) -> tuple[int, int]:
        """Run a parent to its end; return its exit code, and the number of the next file."""
        given = self._arguments
        command = [sys.executable, "-P", __file__, "--parent", str(first)]
        command += ["--seed", str(given.seed), "--jobs", str(given.jobs)]
        command += ["--minutes", str(seconds / 60)] + (["--here"] if given.here else [])
        command += [] if given.files is None else ["--files", str(given.files)]
        counts: Counter[str] = Counter()
        open_files: set[int] = set()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout is not None
            for line in parent.stdout:
                report: dict[str, Any] = json.loads(line)
                if "begins" in report:
                    open_files.add(report["begins"])
                    first = max(first, report["begins"] + 1)
                elif "ends" in report:
                    open_files.discard(report["ends"])
                else:
                    counts = Counter(report["counts"])
                    self._take(report)
        self.counts += counts
        if parent.returncode:
            for number in open_files:
                self._save(number, "parent", f"the parent ended with {parent.returncode}")
        return parent.returncode, first

    def _take(self, report: Mapping[str, Any]) -> None:
        self.peak_mb = max(self.peak_mb, report["decoder_mb"], report["own_mb"])
        for number, ending, text in report["findings"]:
            self._save(number, ending, text)

    def _save(self, number: int, ending: str, text: str) -> None:
        name, data = mutated(self._seeds, self._arguments.seed, number)
        folder: Path = self._arguments.save
        folder.mkdir(parents=True, exist_ok=True)
        kind = ending.replace(" ", "-").replace("'", "")
        path = folder / f"{kind}-{self._arguments.seed}-{number}.{name.rpartition('.')[2]}"
        path.write_bytes(data)
        print(f"{path} ({len(data)} bytes, from {name}): {text}", flush=True)


def main() -> int:
    arguments = _parser().parse_args()
    if arguments.file is not None:
        print(*read_again(arguments.file), sep=": ")
        return 0
    if arguments.parent is not None:
        readers = Readers(make_seeds(), arguments.seed, arguments.parent, here=arguments.here)
        readers.run(arguments.jobs, arguments.minutes * 60, arguments.files)
        return 0
    run = Run(arguments)
    run.go()
    total = run.counts.total()
    print(f"{total} files in {run.seconds:.0f} s, {total / run.seconds:.0f} a second")
    for ending, count in sorted(run.counts.items()):
        print(f"  {ending}: {count}")
    print(f"crashes of the parent: {run.crashes}")
    print(f"peak memory of a process: {run.peak_mb} MB")
    errors = run.crashes + run.counts["parent's error"]
    return 1 if errors or run.peak_mb >= GOAL_MB else 0


def read_again(path: Path) -> tuple[str, str]:
    """Read a file in all the ways that a run chooses from; return the first ending of note."""
    import random

    for number in range(20):
        ending, text = ending_of(path.read_bytes(), random.Random(number))
        if ending not in ("read", "refused"):
            break
    return ending, text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="time (1)")
    parser.add_argument("--seed", type=int, default=0, help="of the damage (0)")
    parser.add_argument("--files", type=int, metavar="N", help="at most so many (no limit)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="files at once (cores)")
    parser.add_argument("--save", type=Path, default=Path("findings"), help="folder (findings)")
    parser.add_argument("--file", type=Path, help="read this file, and say how that ends")
    parser.add_argument("--here", action="store_true", help="decode in the parent itself")
    parser.add_argument("--parent", type=int, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
