"""How fast `stt ingest` is and how much memory it takes, for ten minutes and for ten hours.

Makes its own recordings, ingests each in a process of its own into a database that it starts (or
the one of --mongo-url), lets `ffmpeg -f segment` cut the same file to Opus where it is installed,
and says which of the goals were met. Exit code 1 if one was not.
"""

import argparse
import io
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pymongo
from pymongo.errors import PyMongoError

from stt.media.audio import Samples
from stt.store.database import Database
from stt.store.ingest import ingest
from stt.store.ingest_options import IngestOptions

RATE = 44_100
SHORT_MINUTES, LONG_MINUTES = 10, 600
GOAL_SPEED_SHARE, GOAL_GROWTH_MB, GOAL_PEAK_MB = 0.5, 20.0, 250.0
SAME_WORK = {"ffmpeg, our codec settings": ["-application", "audio", "-compression_level", "5"]}
FFMPEG_RUNS: Mapping[str, list[str]] = {"ffmpeg, its own settings": [], **SAME_WORK}


@dataclass(frozen=True, slots=True)
class Run:
    """One process over one recording."""

    name: str
    audio_seconds: float
    wall_seconds: float
    cpu_seconds: float
    peak_mb: float

    @property
    def speed(self) -> float:
        return self.audio_seconds / self.wall_seconds


def main() -> int:
    arguments = _parser().parse_args()
    if arguments.child:
        return _ingest_once(arguments.mongo_url, arguments.child)
    with tempfile.TemporaryDirectory(prefix="stt-bench-") as name, _mongo(arguments, name) as url:
        runs = []
        for minutes in (arguments.short_minutes, arguments.long_minutes):
            path = Path(name) / f"{minutes:g}min.mp3"
            _make_recording(path, minutes * 60)
            runs.append(_run_ours(path, minutes * 60, url))
            _show(runs[-1])
            # Of the two, the harder to keep up with is enough for the long one.
            settings = FFMPEG_RUNS if minutes == arguments.short_minutes else SAME_WORK
            runs += _run_ffmpeg(path, minutes * 60, settings)
            path.unlink()
    return _verdict(runs)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mongo-url", help="a database; default: the embedded one, started here")
    parser.add_argument("--short-minutes", type=int, default=SHORT_MINUTES, metavar="N")
    parser.add_argument("--long-minutes", type=int, default=LONG_MINUTES, metavar="N")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    return parser


def _make_recording(path: Path, seconds: float) -> None:
    """Syllables of coloured noise, in words with pauses: MP3, stereo, 44.1 kHz, in constant memory.

    One minute is encoded, and its frames are written again and again.
    """
    frames = _encoded(_babble(60))
    with path.open("wb") as file:
        for _ in range(round(seconds / 60)):
            file.write(frames)


def _encoded(samples: Samples) -> bytes:
    file = io.BytesIO()
    bare = {"write_xing": "0", "id3v2_version": "0"}
    with av.open(file, "w", format="mp3", options=bare) as output:
        stream = output.add_stream("libmp3lame", rate=RATE, layout="stereo")
        stream.bit_rate = 96_000
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), "s16", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def _babble(seconds: int) -> Samples:
    random = np.random.default_rng(1)
    noise = random.standard_normal(seconds * RATE)
    voice = np.convolve(noise, np.hanning(40) / 20, "same")
    syllables = np.repeat(random.random(seconds * 5), RATE // 5) ** 2
    words = np.repeat(random.random(seconds * 2) > 0.25, RATE // 2)
    mono = 6_000 * voice * syllables * words + 20 * noise
    return np.repeat(mono, 2).clip(-32_768, 32_767).astype(np.int16)


def _run_ours(path: Path, seconds: float, url: str) -> Run:
    command = [sys.executable, __file__, "--mongo-url", url, "--child", str(path)]
    return _measured("stt ingest", command, seconds)


def _run_ffmpeg(path: Path, seconds: float, settings: Mapping[str, list[str]]) -> Iterator[Run]:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        print("ffmpeg is not installed here: nothing to compare with")
        return
    for name, flags in settings.items():
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            command = [
                *(ffmpeg, "-v", "error", "-i", str(path), "-ac", "1", "-ar", "16000"),
                *("-c:a", "libopus", "-b:a", "24k", *flags),
                *("-f", "segment", "-segment_time", "30", f"{folder}/%05d.ogg"),
            ]
            run = _measured(name, command, seconds)
        _show(run)
        yield run


def _measured(name: str, command: list[str], seconds: float) -> Run:
    """Runs it under a small process that reports on it, for the system counts per child."""
    reporter = (
        "import resource, subprocess, sys, time\n"
        "began = time.perf_counter()\n"
        "subprocess.run(sys.argv[1:], check=True)\n"
        "wall = time.perf_counter() - began\n"
        "use = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(wall, use.ru_utime + use.ru_stime, use.ru_maxrss)\n"
    )
    report = subprocess.run(
        [sys.executable, "-c", reporter, *command], check=True, stdout=subprocess.PIPE, text=True
    )
    wall, cpu, peak = map(float, report.stdout.split()[-3:])
    bytes_per_unit = 1 if sys.platform == "darwin" else 1024
    return Run(name, seconds, wall, cpu, peak * bytes_per_unit / 1e6)


def _ingest_once(url: str, path: Path) -> int:
    name = f"stt_bench_{uuid.uuid4().hex[:12]}"
    with Database(url, name) as database:
        database.ensure_indexes()
        ingest(database, path, IngestOptions())
    with pymongo.MongoClient[dict[str, object]](url) as client:
        client.drop_database(name)
    return 0


def _show(run: Run) -> None:
    print(
        f"{run.audio_seconds / 60:6g} min  {run.name:28}  {run.speed:6.0f} x real time"
        f"  {run.wall_seconds:7.1f} s  {run.cpu_seconds:7.1f} s of CPU  {run.peak_mb:6.1f} MB",
        flush=True,
    )


def _verdict(runs: list[Run]) -> int:
    ours = [run for run in runs if run.name == "stt ingest"]
    growth_mb, peak_mb = ours[-1].peak_mb - ours[0].peak_mb, max(run.peak_mb for run in ours)
    goals = [
        (f"peak memory {peak_mb:.0f} MB, at most {GOAL_PEAK_MB:g}", peak_mb <= GOAL_PEAK_MB),
        (
            f"the long one takes {growth_mb:+.1f} MB, at most {GOAL_GROWTH_MB:+g}",
            growth_mb <= GOAL_GROWTH_MB,
        ),
    ]
    for run in ours:
        for other in runs:
            if other.audio_seconds == run.audio_seconds and other is not run:
                share = run.speed / other.speed
                line = f"{share:.2f} of the speed of {other.name}, at least {GOAL_SPEED_SHARE}"
                goals.append((f"{run.audio_seconds / 60:g} min: {line}", share >= GOAL_SPEED_SHARE))
    for line, is_met in goals:
        print(f"{'pass' if is_met else 'FAIL'}  {line}")
    return 0 if all(is_met for _, is_met in goals) else 1


@contextmanager
def _mongo(arguments: argparse.Namespace, folder: str) -> Iterator[str]:
    if arguments.mongo_url:
        yield arguments.mongo_url
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    binary = Path(sys.executable).with_name("secantusd-py")
    if not binary.exists():
        sys.exit(
            "the embedded database is missing: pip install 'stt-fleet[embedded]', or --mongo-url"
        )
    command = [str(binary), "--port", str(port), "--storage-path", f"{folder}/database"]
    server = subprocess.Popen([*command, "--log-level", "WARNING"])
    try:
        url = f"mongodb://127.0.0.1:{port}/?directConnection=true"
        _wait_for(url, server)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=60)


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    with pymongo.MongoClient[dict[str, object]](url, serverSelectionTimeoutMS=500) as client:
        while time.monotonic() < deadline and server.poll() is None:
            with suppress(PyMongoError):
                client.admin.command("ping")
                return
    sys.exit("the embedded database did not start")


if __name__ == "__main__":
    sys.exit(main())
