"""`make demo`: recordings → queue → three workers → a real whisper server → transcripts, checked.

    python -m tools.demo [--samples FOLDER] [--model MODEL]

Everything lives in a temporary folder and is taken down at the end, also on Ctrl-C. One worker is
killed on the way, to show that nothing is lost. Exit code 1 if more than 5 % of the words are
wrong, or a chunk is missing.
"""

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from stt.domain.chunk import Recording
from stt.errors import SttError
from stt.local.server_process import LocalServer
from stt.local.stack import open_database
from stt.local.whisper_server import local_server
from stt.settings import Settings
from stt.store.counts import StateCounts
from stt.store.database import Database
from stt.store.recordings import MongoRecordings
from stt.store.status import queue_status
from stt.system.signals import on_signals
from stt.transcripts.files import file_name
from tools.word_error_rate import WordErrors, word_errors

ROOT = Path(__file__).resolve().parent.parent
WORKERS = 3
HIGHEST_ERROR_RATE = 0.05
LEASE_SECONDS = 10
SLOWEST_SECONDS = 300
TEXT_WIDTH = 46


@dataclass
class Worker:
    """A worker process; its log goes to a file."""

    number: int
    process: subprocess.Popen[bytes]
    host: str

    @property
    def id(self) -> str:
        return f"{self.host}_{self.process.pid}"


class Demo:
    """One run of the demo in a folder of its own."""

    def __init__(self, folder: Path, samples: Path) -> None:
        self.samples = samples
        self.settings = Settings(  # type: ignore[call-arg]
            _env_file=None, data_dir=folder / "data", mongo_url=None, keep_alive_seconds=0
        )
        self.exports = folder / "exports"
        self.killed: Worker | None = None
        self.workers: list[Worker] = []
        self._folder = folder
        ours = ("STT_", "NODE_", "MONGO_", "DATABASE_", "MAX_", "CHUNK_", "LEASE_", "SEQUENCE_")
        others = {k: v for k, v in os.environ.items() if not k.startswith((*ours, "USE_"))}
        self._environment = others | {
            "STT_DATA_DIR": str(folder / "data"),
            "STT_KEEP_ALIVE_SECONDS": "0",
            "LEASE_SECONDS": str(LEASE_SECONDS),
            "SEQUENCE_SECONDS": "60",  # the usual 300 would leave nothing for the other workers
            "MAX_PARALLEL_WORKERS": "1",
            "NODE_REQUIRED_EMPTY_CHECKS": "1",
        }

    def stt(self, *arguments: str) -> None:
        """Runs a command of the project, where no `.env` of the person is read."""
        command = [sys.executable, "-P", "-m", "stt", *arguments]
        code = subprocess.run(command, cwd=self._folder, env=self._environment).returncode
        if code != 0:
            raise SttError(f"`stt {arguments[0]}` ended with exit code {code}.")

    def start_worker(self, url: str) -> Worker:
        number = len(self.workers) + 1
        command = [sys.executable, "-P", "-m", "stt", "--server", url, "--log-format", "text"]
        with (self._folder / f"worker-{number}.log").open("wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self._folder, env=self._environment
            )
        worker = Worker(number, process, os.uname().nodename)
        self.workers.append(worker)
        return worker

    def work(self, database: Database, server: LocalServer) -> None:
        """Returns when every chunk has ended; kills a worker on the way."""
        url = server.url
        self._environment["STT_API_KEY"] = server.api_key.get_secret_value()
        for _ in range(WORKERS):
            self.start_worker(url)
        deadline = time.monotonic() + SLOWEST_SECONDS
        shown: StateCounts | None = None
        while True:
            queue = queue_status(database, LEASE_SECONDS)
            if queue.counts != shown:
                shown = queue.counts
                print(f"  {_bar(shown)}  {shown.processing} transcribing", flush=True)
            if shown.open == 0:
                return
            if time.monotonic() > deadline:
                raise SttError(f"The demo is not done after {SLOWEST_SECONDS} s.")
            if self.killed is None and shown.transcribed:
                self._kill_one(database)
            if queue.stale or shown.pending:
                self._replace_if_all_are_gone(url)
            time.sleep(0.2)

    def stop(self) -> None:
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            try:
                worker.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()

    def _kill_one(self, database: Database) -> None:
        """The second worker, once it holds a chunk."""
        worker = self.workers[1]
        held = database.chunks.count_documents({"processing_by": worker.id})
        if held and worker.process.poll() is None:
            worker.process.kill()
            worker.process.wait()
            self.killed = worker
            print(
                f"  Worker {worker.number} was killed with {held} chunk(s) in its hands:"
                f" back in the queue after {LEASE_SECONDS} s.",
                flush=True,
            )

    def _replace_if_all_are_gone(self, url: str) -> None:
        if all(worker.process.poll() is not None for worker in self.workers):
            if len(self.workers) > 3 * WORKERS:
                raise SttError(f"The workers end too early: {self._last_words()}")
            worker = self.start_worker(url)
            print(f"  Worker {worker.number} takes over.", flush=True)

    def _last_words(self) -> str:
        log = self._folder / f"worker-{len(self.workers)}.log"
        return log.read_text(errors="replace").strip().rpartition("\n")[2]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--samples", type=Path, default=ROOT / "samples", metavar="FOLDER")
    parser.add_argument("--model", default="tiny.en", metavar="MODEL")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    # A card's libraries may be missing or broken, and the model is small.
    os.environ.update(WHISPER_BACKEND="faster-whisper", WHISPER_DEVICE="cpu")
    try:
        with on_signals(_interrupt), tempfile.TemporaryDirectory(prefix="stt-demo-") as folder:
            return _run(Demo(Path(folder), arguments.samples.resolve()), arguments.model)
    except SttError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("Interrupted; everything is taken down again.", file=sys.stderr)
        return 130


def _run(demo: Demo, model: str) -> int:
    began = time.monotonic()
    with open_database(demo.settings) as database:
        print("1. Recordings into the queue: stt ingest samples/", flush=True)
        demo.stt("ingest", str(demo.samples))
        print(f"\n2. A whisper server with the model {model!r}", flush=True)
        with local_server(model) as server:
            url = server.url
            print(f"  {url} is ready\n\n3. {WORKERS} workers: stt --server {url}", flush=True)
            try:
                demo.work(database, server)
            finally:
                demo.stop()
        print("\n4. Transcripts: stt export --all\n", flush=True)
        demo.stt("export", "--all", "--format", "txt", "--output", f"{demo.exports}/")
        errors = _print_transcripts(demo, database)
        failed = queue_status(database, LEASE_SECONDS).counts.failed
        _print_workers(demo, database)
    seconds = time.monotonic() - began
    print(
        f"\n{errors.words} words, {errors.errors} wrong: word error rate {errors.rate:.1%}"
        f" (at most {HIGHEST_ERROR_RATE:.0%}), in {seconds:.0f} s"
    )
    if errors.rate > HIGHEST_ERROR_RATE or failed or not errors.words:
        print("The demo FAILED.", file=sys.stderr)
        return 1
    print(_NEXT)
    return 0


def _print_transcripts(demo: Demo, database: Database) -> WordErrors:
    print(f"\n  {'sample':<22} {'length':>7} {'wrong':>6}  text")
    total = WordErrors()
    for recording in sorted(
        MongoRecordings(database).all(), key=lambda recording: recording.filename
    ):
        heard = (demo.exports / file_name(recording, "txt")).read_text()
        truth = (demo.samples / recording.filename).with_suffix(".txt").read_text()
        errors = word_errors(truth, heard)
        total += errors
        text = " ".join(heard.split()) or "(nothing was said)"
        name, length = recording.filename, _length(recording)
        print(f"  {name:<22} {length:>7} {errors.rate:>6.1%}  {_short(text)}")
    return total


def _print_workers(demo: Demo, database: Database) -> None:
    done = Counter(
        document["transcript"]["worker"]
        for document in database.chunks.find({"transcribed_at": {"$ne": None}}, ["transcript"])
    )
    parts = [
        f"worker {worker.number}: {done[worker.id]}{' (killed)' if worker is demo.killed else ''}"
        for worker in demo.workers
    ]
    print(f"\n  Chunks by worker: {', '.join(parts)}")


def _bar(counts: StateCounts) -> str:
    ended = counts.transcribed + counts.failed
    filled = round(30 * ended / max(1, counts.total))
    return f"[{'#' * filled}{'.' * (30 - filled)}] {ended:>3} of {counts.total} chunks"


def _length(recording: Recording) -> str:
    minutes, seconds = divmod(round(recording.duration or 0.0), 60)
    return f"{minutes}:{seconds:02d}"


def _short(text: str) -> str:
    return text if len(text) <= TEXT_WIDTH else text[: TEXT_WIDTH - 4].rsplit(" ", 1)[0] + " ..."


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


_NEXT = """
What next (tiny.en is the smallest Whisper, and English; larger ones hear better, in 99 languages):
  .venv/bin/stt transcribe samples/*.mp3 --model tiny.en    one machine, one command
  .venv/bin/stt transcribe talk.mp3 --model small           downloads a larger model once
  .venv/bin/stt transcribe talk.mp3 --model small --format srt --output subtitles/
  README.md                                                 two machines, cron, a real MongoDB"""


if __name__ == "__main__":
    sys.exit(main())
