"""A watched folder in a storm: files grow, move, repeat and break, and the watcher is killed.

    python tools/storm_watch.py --minutes 60 --seed 1

Starts `stt ingest --watch` on a folder of its own, with an embedded database and a stand-in whisper
server whose words say what it heard (tools/chaos_lab/stand_in.py). Between storms it lets the
watcher come to rest, and compares: each good recording has one transcript, which is its own; one
that was moved has it at its new place alone; a broken file has none; what a person wrote is as it
was; and the queue holds each content once, and none of a file's beginnings. Exit code 1 if not.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from stt.system.processes import free_port
from tools.watch_lab.check import check, describe
from tools.watch_lab.files import Files
from tools.watch_lab.watching import Watching

SETTLE_SECONDS = 1.0
REST_SECONDS = 60.0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--storm-seconds", type=float, default=90.0, help="between two comparisons")
    parser.add_argument("--pause", type=float, default=0.7, help="mean time between two changes")
    parser.add_argument("--kill-seconds", type=float, default=25.0, help="mean time between kills")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--folder", type=Path, help="kept; a temporary one if not given")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="stt-watch-") as temporary:
        root = arguments.folder or Path(temporary)
        root.mkdir(parents=True, exist_ok=True)
        return storm(arguments, root)


def storm(arguments: argparse.Namespace, root: Path) -> int:
    rng = random.Random(arguments.seed)
    port = free_port()
    command = [sys.executable, "-m", "tools.chaos_lab.stand_in", "--port", str(port),
               "--log", str(root / "calls.jsonl"), "--pace", "0.1", "0.5", "2", "0.05"]  # fmt: skip
    server = subprocess.Popen(command)
    files = Files(root / "in", rng, SETTLE_SECONDS)
    watching = Watching(root, f"http://127.0.0.1:{port}", SETTLE_SECONDS)
    end = time.monotonic() + arguments.minutes * 60
    faults: list[str] = []
    try:
        watching.start()
        while time.monotonic() < end and not faults:
            blow(
                files,
                watching,
                rng,
                arguments,
                min(end, time.monotonic() + arguments.storm_seconds),
            )
            faults = come_to_rest(files, watching)
            print(describe(files, watching), flush=True)
            for fault in faults:
                print(f"WRONG: {fault}", flush=True)
    finally:
        watching.stop()
        server.terminate()
        server.wait()
    print("all well" if not faults else f"{len(faults)} wrong", flush=True)
    return bool(faults)


def blow(
    files: Files, watching: Watching, rng: random.Random, arguments: argparse.Namespace, end: float
) -> None:
    """Change files, and kill the watcher now and then, until `end`."""
    kill_at = time.monotonic() + rng.expovariate(1 / arguments.kill_seconds)
    while time.monotonic() < end:
        files.change()
        if time.monotonic() > kill_at:
            watching.stop(rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
            for _ in range(rng.randrange(4)):
                files.change()
            watching.start()
            kill_at = time.monotonic() + rng.expovariate(1 / arguments.kill_seconds)
        time.sleep(rng.expovariate(1 / arguments.pause))
    files.finish()


def come_to_rest(files: Files, watching: Watching) -> list[str]:
    """Wait until nothing is wrong; return what still is after a while."""
    deadline = time.monotonic() + REST_SECONDS
    while (faults := check(files, watching)) and time.monotonic() < deadline:
        if watching.exit_code is not None:
            break
        time.sleep(3)
    return faults


if __name__ == "__main__":
    sys.exit(main())
