"""Load and flood a coordinator at once: nodes, browsers, uploads; then count what was lost.

    python tools/load_coordinator.py
    python tools/load_coordinator.py --seconds 60 --nodes 50 --idle 0 --trickling 0

Starts an embedded database, and `stt coordinator` under `ulimit -n FILES`. Nodes poll, claim, fetch
and complete chunks as `stt node` does, with a stand-in for the model; browsers keep the pages'
WebSocket open; uploaders send one recording of a minute after the other, at 50 kB/s each;
tools/flood.py keeps silent and trickling connections open, and `/health` is asked on a new
connection each time. Then the uploads end, the nodes do what is left, and each chunk must have the
text that one node wrote. Errors are requests that had to be repeated.

Exit codes: 0 nothing was lost; 1 something was, and the logs are kept; 2 wrong usage.
"""

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import requests

if __name__ == "__main__":  # run as a script: its own folder is on the path, and not the project's
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from stt.store.database import Database
from stt.system.processes import free_port
from tools.bench_lab.callers import percentile
from tools.bench_lab.health import HealthWatch
from tools.bench_lab.memory import peak_mb
from tools.chaos_lab.processes import DATABASE_NAME, close, database_server, mongo_url, spawn
from tools.flood import MAX_CONNECTIONS, MAX_SECONDS, Plan, flooding
from tools.load_lab.crowd import Crowd, Seen

KEY = "the-key-of-the-people-of-a-load-run"
UPLOAD_RATE = 50_000.0
_START_SECONDS = 120.0
_REST_SECONDS = 600.0
_POLL_SECONDS = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code."""
    options = _parser().parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="stt-load-"))
    with contextlib.ExitStack() as closing:
        server = database_server(folder / "database", folder)
        closing.callback(server.close)
        server.start()
        server.wait()
        url = mongo_url(server.port)
        address, pid, log = closing.enter_context(_coordinator(folder, url, options.files))
        found = _load(options, address, pid)
        database = closing.enter_context(Database(url, DATABASE_NAME))
        lost = _losses(database, found.pop("seen"))
        found["log_bytes"] = log.stat().st_size
        found["lost"] = lost
    print(json.dumps(found, indent=2))
    if lost:
        print(f"The logs are in {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


@contextlib.contextmanager
def _coordinator(folder: Path, mongo: str, files: int) -> Iterator[tuple[str, int, Path]]:
    """Run one; yield its URL, its process id and its log."""
    url, log = f"http://127.0.0.1:{free_port()}", folder / "coordinator.log"
    process = spawn(
        "stt",
        ["coordinator", "--port", url.rpartition(":")[2]],
        log,
        {
            "MONGO_URL": mongo,
            "DATABASE_NAME": DATABASE_NAME,
            "STT_COORDINATOR_KEY": KEY,
            "STT_DATA_DIR": str(folder / "data"),
        },
        within=("/bin/sh", "-c", f'ulimit -n {files} && exec "$@"', "sh"),
    )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the coordinator does not start, see {log}")
            time.sleep(0.1)
        yield url, process.pid, log
    finally:
        close(process)


def _answers(url: str) -> bool:
    with contextlib.suppress(requests.RequestException), requests.Session() as session:
        session.trust_env = False
        return session.get(f"{url}/health", timeout=10).ok
    return False


def _load(options: argparse.Namespace, url: str, pid: int) -> dict[str, object]:
    """Return what was measured, and as `seen` what the crowd saw."""
    memory_before = peak_mb(pid)
    crowd = Crowd(url, KEY)
    plan = Plan(
        "127.0.0.1", int(url.rpartition(":")[2]), options.idle, options.trickling,
        options.seconds + _REST_SECONDS,
    )  # fmt: skip
    with crowd.at_work(options.nodes, options.browsers, options.uploads, UPLOAD_RATE):
        health = HealthWatch(url, keeps_connection=False)
        with flooding(plan) as flood, health:
            time.sleep(options.seconds)
        crowd.stop_uploads()
        _wait_until_done(url)
    seen = crowd.seen
    return {
        "seen": seen,
        "health": health.figures(),
        "claims": {
            "asked": len(seen.claim_seconds),
            "per_chunk": round(len(seen.claim_seconds) / max(1, len(seen.done)), 2),
            **{
                f"p{share * 100:g}_ms": _milliseconds(percentile(seen.claim_seconds, share))
                for share in (0.5, 0.99)
            },
        },
        "crowd": dict(sorted(seen.counts.items())) | {"uploads": len(seen.uploads)},
        "errors": dict(seen.errors),
        "memory_mb": {"before": round(memory_before), "peak": round(peak_mb(pid))},
        "flood": dict(sorted(flood.items())),
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1_000


def _wait_until_done(url: str) -> None:
    """Wait until all uploads are cut and no chunk is pending or in work."""
    deadline = time.monotonic() + _REST_SECONDS
    headers = {"Authorization": f"Bearer {KEY}"}
    with requests.Session() as session:
        session.trust_env = False
        while time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            uploads = session.get(f"{url}/api/uploads", headers=headers, timeout=60).json()
            open_uploads = [one for one in uploads["uploads"] if one["state"] in _OPEN_STATES]
            counts = session.get(f"{url}/status", headers=headers, timeout=60).json()["counts"]
            if not (open_uploads or counts["pending"] or counts["processing"]):
                return


_OPEN_STATES = ("receiving", "waiting", "cutting")


def _losses(database: Database, seen: object) -> list[str]:
    """Return what was lost, a line each."""
    assert isinstance(seen, Seen)
    chunks = list(database.chunks.find({}, {"audio": 0, "data": 0}))
    states: Counter[str] = Counter()
    for chunk in chunks:
        id_ = str(chunk["_id"])
        if chunk.get("transcribed_at") is None:
            states["chunks without a transcript"] += 1
        elif [segment["text"] for segment in chunk["transcript"]["segments"]] != [
            seen.done.get(id_)
        ]:
            states["chunks with another text than a node wrote"] += 1
        if chunk.get("attempts"):
            states["chunks that were charged a failure"] += 1
    if missing := set(seen.done) - {str(chunk["_id"]) for chunk in chunks}:
        states["results of chunks that are gone"] = len(missing)
    failed = database.uploads.count_documents({"state": {"$ne": "done"}})
    if failed:
        states["uploads that did not get into the queue"] = failed
    return [f"{count} {what}" for what, count in states.items()]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (
        ("nodes", 200), ("browsers", 50), ("uploads", 10), ("idle", 1_500), ("trickling", 200),
        ("files", 1_024),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=_count, default=default, help=f"default: {default}")
    parser.add_argument("--seconds", type=_seconds, default=300.0, help="default: 300")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) > MAX_CONNECTIONS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to {MAX_CONNECTIONS}")
    return int(text)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {MAX_SECONDS:g}")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
