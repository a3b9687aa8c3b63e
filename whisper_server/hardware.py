"""What this machine has: cores, CUDA cards, their memory."""

import os
import subprocess

from whisper_server.presets import Machine

_ASK_SECONDS = 10


def this_machine(cuda_devices: int) -> Machine:
    """The facts for `plan_engine`; the card is asked only where there is one."""
    return Machine(
        cores=usable_cores(),
        cuda_devices=cuda_devices,
        cuda_memory_bytes=first_card_bytes() if cuda_devices else None,
    )


def usable_cores() -> int:
    """Cores that this process may run on, which in a container can be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def first_card_bytes() -> int | None:
    """Memory of the first card, or None when `nvidia-smi` cannot be asked."""
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=_ASK_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_card_bytes(answer.stdout)


def parse_card_bytes(answer: str) -> int | None:
    """The first line of `nvidia-smi`'s answer, MiB → bytes."""
    first = answer.strip().partition("\n")[0].strip()
    return int(first) * 1024 * 1024 if first.isdigit() else None
