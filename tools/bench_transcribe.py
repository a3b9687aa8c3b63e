"""How long a person waits for `stt transcribe`, and for another program with the same weights.

Makes recordings out of `samples/`, and runs in turn, for each length: `stt transcribe` as the first
command, with nothing running; once more within a minute, on another recording; again on that one,
whose text is stored; and whisper-ctranslate2, if --against names its program, as it is and with
`--batched True`. Also `stt --help` and `stt status`. One table: seconds until the text is out,
seconds until the command returns, seconds of processor time of all its processes. Others at work on
the machine change them all: compare within one table.
"""

import argparse
import itertools
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tools.bench_lab.clips import make_long

SHORT_SECONDS, LONG_MINUTES = 11.0, 10.0
_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Run:
    """One command: seconds until its text was out, until it returned, and of all processors."""

    name: str
    text_seconds: float
    seconds: float
    cpu_seconds: float


class Bench:
    """Runs commands in a folder of its own."""

    def __init__(self, folder: Path, model: str, against: str | None) -> None:
        self._folder = folder
        self._model = model
        self._against = against
        ours = ("STT_", "MONGO_", "DATABASE_", "MAX_", "CHUNK_", "LEASE_", "SEQUENCE_", "USE_")
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        self._environment |= {"SETTLE_SECONDS": "0", "STT_DATA_DIR": str(folder / "data")}

    def commands(self) -> Iterator[Run]:
        """Yield the runs of short commands."""
        yield self._stt("stt --help", "--help")
        yield self._stt("stt status, nothing running", "status")
        yield self._stt("stt status, within a minute", "status")
        self._end_servers()

    def recording(self, seconds: float) -> Iterator[Run]:
        """Yield the runs for recordings of one length."""
        first, second = (_speech(self._folder, seconds, part) for part in range(2))
        model = ("--model", self._model)
        yield self._stt("stt transcribe, nothing running", "transcribe", str(first), *model)
        yield self._stt("stt transcribe, within a minute", "transcribe", str(second), *model)
        yield self._stt("stt transcribe, text stored", "transcribe", str(second), *model)
        self._end_servers()
        if self._against:
            yield self._other("whisper-ctranslate2", first)
            yield self._other("whisper-ctranslate2 --batched True", first, "--batched", "True")

    def _stt(self, name: str, *arguments: str) -> Run:
        command = [sys.executable, "-P", "-m", "stt", *arguments]
        return self._timed(name, command, self._environment)

    def _other(self, name: str, recording: Path, *more: str) -> Run:
        assert self._against is not None
        is_folder = Path(self._model).is_dir()
        return self._timed(
            name,
            [
                *(self._against, str(recording)),
                *("--model_directory" if is_folder else "--model", self._model),
                *("--output_dir", str(self._folder / "out"), "--output_format", "txt", *more),
            ],
            dict(os.environ),
        )

    def _timed(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> Run:
        before = _ended_cpu_seconds() + self._servers_cpu_seconds()
        started = time.monotonic()
        with subprocess.Popen(
            command, env=environment, cwd=self._folder, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.read(1)
            text_seconds = time.monotonic() - started
            process.stdout.read()
        seconds = time.monotonic() - started
        if process.returncode:
            raise SystemExit(f"{name}: exit code {process.returncode}")
        cpu_seconds = _ended_cpu_seconds() + self._servers_cpu_seconds() - before
        return Run(name, text_seconds, seconds, cpu_seconds)

    def _servers(self) -> Iterator[psutil.Process]:
        """Yield what commands have left running: processes with our data folder."""
        for process in psutil.process_iter():
            try:
                if process.environ().get("STT_DATA_DIR") == self._environment["STT_DATA_DIR"]:
                    yield process
            except psutil.Error:
                continue

    def _servers_cpu_seconds(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self._servers())

    def _end_servers(self) -> None:
        """Let the next command find nothing running."""
        servers = list(self._servers())
        for process in servers:
            process.terminate()
        psutil.wait_procs(servers, timeout=30)
        time.sleep(_PAUSE_SECONDS)


def _ended_cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _speech(folder: Path, seconds: float, part: int) -> Path:
    """Write a recording out of the samples; another `part` is another recording."""
    return make_long(folder, seconds + part / 4).path


def main() -> int:
    arguments = _parser().parse_args()
    if arguments.against and shutil.which(arguments.against) is None:
        raise SystemExit(f"{arguments.against}: no such program")
    lengths = [SHORT_SECONDS, *(minutes * 60 for minutes in arguments.minutes)]
    with tempfile.TemporaryDirectory(prefix="stt-bench-") as name:
        bench = Bench(Path(name), arguments.model, arguments.against)
        print("| recording | command | text after s | returns after s | CPU s |")
        print("| --- | --- | ---: | ---: | ---: |")
        runs = itertools.chain(
            (("", run) for run in bench.commands()),
            ((_length(s), run) for s in lengths for run in bench.recording(s)),
        )
        for length, run in runs:
            numbers = run.text_seconds, run.seconds, run.cpu_seconds
            shown = " | ".join(f"{number:.2f}" for number in numbers)
            print(f"| {length} | {run.name} | {shown} |", flush=True)
    return 0


def _length(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 60 else f"{seconds / 60:g} min"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="tiny.en", help="name, or folder of weights")
    parser.add_argument(
        "--minutes", type=float, nargs="*", default=[LONG_MINUTES], help="lengths beside 11 s"
    )
    parser.add_argument("--against", metavar="PROGRAM", help="path of whisper-ctranslate2")
    return parser


if __name__ == "__main__":
    sys.exit(main())
