"""How much memory a process and its children took at most, and what a graphics card did."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

MEGABYTE = 1e6
_EVERY_SECONDS = 0.5


def peak_mb(pid: int) -> float:
    """The resident memory of `pid` and its children at their peaks, summed, in MB.

    From /proc; where there is none (macOS), what `ps` says of this moment. Pages that processes
    share, such as those of libraries, count once for each.
    """
    if Path("/proc/self/status").exists():
        return sum(_high_water_bytes(one) for one in _with_children(pid)) / MEGABYTE
    said = subprocess.run(
        ["ps", "-axo", "pid=,ppid=,rss="], capture_output=True, text=True, check=True
    )
    rows = [tuple(map(int, line.split())) for line in said.stdout.splitlines()]
    return sum(rss for one, parent, rss in rows if pid in (one, parent)) * 1024 / MEGABYTE


def cpu_seconds(pid: int) -> float | None:
    """Processor time of `pid` so far, all its threads; None where /proc does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _high_water_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # gone in the meantime
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _with_children(pid: int) -> Iterator[int]:
    yield pid
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = tasks.read_text().split()
        except OSError:  # the thread has ended in the meantime
            continue
        for child in children:
            yield from _with_children(int(child))


class CardWatch:
    """Asks `nvidia-smi` twice a second while it is open; None of everything without a card.

    The card must be ours alone. `peak_mb` is above what was used before.
    """

    def __init__(self) -> None:
        self._before, _ = _card()
        self._seen: list[tuple[float, float, float]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def peak_mb(self) -> float | None:
        if self._before is None:
            return None
        return max((memory for _, memory, _ in self._seen), default=self._before) - self._before

    def utilisation(self, seconds: float | None) -> float | None:
        """The share of the last `seconds` in which the card computed, from 0 to 1."""
        since = time.monotonic() - (seconds or 0.0)
        busy = [share for at, _, share in self._seen if at > since]
        return sum(busy) / len(busy) if busy else None

    def __enter__(self) -> "CardWatch":
        if self._before is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_EVERY_SECONDS):
            memory, share = _card()
            if memory is not None and share is not None:
                self._seen.append((time.monotonic(), memory, share))


def _card() -> tuple[float | None, float | None]:
    """The first card's used memory in MB, and the share of the last moment that it computed."""
    query = "--query-gpu=memory.used,utilization.gpu"
    command = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        memory, busy = said.stdout.strip().partition("\n")[0].split(",")
        return float(memory) * 1024 * 1024 / MEGABYTE, float(busy) / 100
    except (OSError, subprocess.SubprocessError, ValueError):
        return None, None
