"""How long a server takes to say that it is alive while it works."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import requests

from tools.bench_lab.callers import percentile

ROOT = Path(__file__).resolve().parents[2]
EVERY_SECONDS = 0.05


class HealthWatch:
    """Asks `/health` twenty times a second while it is open; afterwards it has the figures.

    In a process of its own: among the threads of many callers it would wait for them too. On one
    connection, or with `keeps_connection=False` on a new one for each call.
    """

    def __init__(
        self, url: str, every_seconds: float = EVERY_SECONDS, *, keeps_connection: bool = True
    ) -> None:
        told = [f"{url}/health", str(every_seconds), "keep-alive" if keeps_connection else "close"]
        self._command = [sys.executable, "-m", "tools.bench_lab.health", *told]
        self._latencies: list[float] = []
        self.failed = 0

    @property
    def asked(self) -> int:
        return len(self._latencies) + self.failed

    def latency_ms(self, share: float) -> float | None:
        seconds = percentile(self._latencies, share)
        return None if seconds is None else seconds * 1000

    def figures(self) -> dict[str, float | None]:
        shares = (("p50_ms", 0.5), ("p99_ms", 0.99), ("max_ms", 1.0))
        latencies = {name: self.latency_ms(share) for name, share in shares}
        return {"asked": self.asked, "failed": self.failed, **latencies}

    def __enter__(self) -> "HealthWatch":
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._command, cwd=ROOT, stdin=pipe, stdout=pipe)
        assert self._process.stdout is not None
        self._process.stdout.readline()  # it asks from here on
        return self

    def __exit__(self, *_: object) -> None:
        said = self._process.communicate()[0]
        self._latencies, self.failed = json.loads(said)


def main(arguments: Sequence[str]) -> int:
    """Ask until the standard input ends; return the exit code."""
    url, every_seconds, connection = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ended = threading.Event()
    threading.Thread(target=_set_at_the_end, args=(ended,), daemon=True).start()
    print("asking", flush=True)
    latencies, failed = [], 0
    with requests.Session() as session:
        session.trust_env = False
        while not ended.wait(float(every_seconds)):
            began = time.perf_counter()
            try:
                answer = session.get(url, headers={"Connection": connection}, timeout=5)
                answer.raise_for_status()
                latencies.append(time.perf_counter() - began)
            except requests.RequestException:
                failed += 1
    print(json.dumps([latencies, failed]))
    return 0


def _set_at_the_end(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
