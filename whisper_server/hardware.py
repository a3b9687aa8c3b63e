"""The hardware of this machine: cores, memory, CUDA cards, Apple's GPU."""

import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

from whisper_server.engines.faster_whisper import cuda_device_count
from whisper_server.presets import Machine

_TIMEOUT_SECONDS = 10
_MIB = 1024 * 1024
_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Of this process's own control group, as a container sees it."""


@dataclass(frozen=True)
class Card:
    """A CUDA card that this process may use; `used_bytes` includes other programs' memory."""

    index: int
    name: str
    memory_bytes: int
    used_bytes: int


def this_machine() -> Machine:
    """Return the facts for `plan_engine`; call it before the first use of CUDA."""
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # nvidia-smi's, not the fastest first
    cuda_devices = cuda_device_count()
    found = cards() if cuda_devices else ()
    return Machine(
        cores=usable_cores(),
        cuda_devices=cuda_devices,
        cuda_memory_bytes=found[0].memory_bytes if found else None,
        has_metal=sys.platform == "darwin" and platform.machine() == "arm64",
        has_mlx=find_spec("mlx_whisper") is not None,
    )


def usable_cores() -> int:
    """Return how many cores this process may use; in a container fewer than the machine has."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0)) or 1
    try:
        quota = parse_quota(_CPU_QUOTA.read_text())
    except OSError:
        quota = None
    return min(cores, quota or cores)


def parse_quota(text: str) -> int | None:
    """Return the whole cores of a `cpu.max`, `microseconds period`; None if unlimited.

    https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
    """
    quota, _, period = text.strip().partition(" ")
    if not (quota.isdigit() and period.isdigit() and int(period)):
        return None
    return max(1, int(quota) // int(period))


def process_bytes() -> int:
    """Return this process's resident memory, without that of a card."""
    return int(psutil.Process().memory_info().rss)


def cards() -> tuple[Card, ...]:
    """Return the cards that this process may use; none if `nvidia-smi` fails."""
    query = ["--query-gpu=name,memory.total,memory.used", "--format=csv,noheader,nounits"]
    if visible := os.environ.get("CUDA_VISIBLE_DEVICES", "").strip():
        query.append(f"--id={visible}")
    try:
        output = subprocess.check_output(
            ["nvidia-smi", *query], stderr=subprocess.DEVNULL, text=True, timeout=_TIMEOUT_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return parse_cards(output)


def parse_cards(output: str) -> tuple[Card, ...]:
    """Return the cards of `nvidia-smi`'s lines, `name, MiB, MiB`; none if a line is malformed."""
    found = []
    for index, line in enumerate(output.strip().splitlines()):
        name, *numbers = (cell.strip() for cell in line.rsplit(",", 2))
        if len(numbers) != 2 or not all(number.isdigit() for number in numbers):
            return ()
        found.append(Card(index, name, int(numbers[0]) * _MIB, int(numbers[1]) * _MIB))
    return tuple(found)
