"""How long a server takes to say that it is alive while it works."""

import threading
import time

import requests

from tools.bench_lab.callers import percentile

EVERY_SECONDS = 0.05


class HealthWatch:
    """Asks `/health` twenty times a second while it is open, in a thread.

    On one connection, or with `keeps_connection=False` on a new one for each call.
    """

    def __init__(
        self, url: str, every_seconds: float = EVERY_SECONDS, *, keeps_connection: bool = True
    ) -> None:
        self._url = f"{url}/health"
        self._every_seconds = every_seconds
        self._headers = {} if keeps_connection else {"Connection": "close"}
        self._latencies: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.failed = 0

    @property
    def asked(self) -> int:
        return len(self._latencies) + self.failed

    def latency_ms(self, share: float) -> float | None:
        seconds = percentile(self._latencies, share)
        return None if seconds is None else seconds * 1000

    def __enter__(self) -> "HealthWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)

    def _watch(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while not self._stop.wait(self._every_seconds):
                began = time.perf_counter()
                try:
                    answer = session.get(self._url, headers=self._headers, timeout=5)
                except requests.RequestException:
                    self.failed += 1
                    continue
                if answer.ok:
                    self._latencies.append(time.perf_counter() - began)
                else:
                    self.failed += 1
