"""How much memory a process and its children took at most, and how much a graphics card gave."""

import os
import subprocess
import threading
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
        for child in tasks.read_text().split():
            yield from _with_children(int(child))


class CardMemory:
    """Asks `nvidia-smi` twice a second while it is open; `peak_mb` is above what was used before.

    The card must be ours alone. None where there is no card.
    """

    def __init__(self) -> None:
        self._before = _card_mb()
        self._peak = self._before
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def peak_mb(self) -> float | None:
        if self._before is None or self._peak is None:
            return None
        return self._peak - self._before

    def __enter__(self) -> "CardMemory":
        if self._before is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_EVERY_SECONDS):
            self._peak = max(self._peak or 0.0, _card_mb() or 0.0)


def _card_mb() -> float | None:
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    first = said.stdout.strip().partition("\n")[0]
    return float(first) * 1024 * 1024 / MEGABYTE if first.isdigit() else None
