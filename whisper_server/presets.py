"""Which model, device, compute type and shape suit a machine, when the settings leave it open."""

from dataclasses import dataclass

from whisper_server.catalogue import DEMO
from whisper_server.settings import Settings

ROOMY_CARD_BYTES = 7_500_000_000
"""A card sold as 8 GB reports a little less than 8e9 bytes once the driver took its share."""

MOST_CPU_WORKERS = 4
CUDA_WORKERS = 2
"""One transcription computes while the other decodes its audio."""


@dataclass(frozen=True)
class Machine:
    """The facts that a choice rests on; `cuda_memory_bytes` is None when it cannot be asked."""

    cores: int
    cuda_devices: int = 0
    cuda_memory_bytes: int | None = None


@dataclass(frozen=True)
class EnginePlan:
    """What will be loaded and in which shape; no `auto` is left in it."""

    model: str
    device: str
    compute_type: str
    worker_count: int
    threads_per_worker: int


def plan_engine(settings: Settings, machine: Machine) -> EnginePlan:
    """Fill in what `settings` leave open. Pure: the facts come in with `machine`."""
    device = _device(settings, machine)
    roomy = (machine.cuda_memory_bytes or 0) >= ROOMY_CARD_BYTES
    if device == "cuda":
        model, compute_type = ("large-v3-turbo", "float16") if roomy else ("medium", "int8")
    else:
        model, compute_type = "base", "int8"
    workers = settings.worker_count or _workers(device, machine.cores)
    return EnginePlan(
        model=settings.model or model,
        device=device,
        compute_type=settings.compute_type or compute_type,
        worker_count=workers,
        threads_per_worker=settings.cpu_threads or max(1, machine.cores // workers),
    )


def _device(settings: Settings, machine: Machine) -> str:
    if settings.device != "auto":
        return settings.device
    if settings.model == DEMO:
        return "cpu"  # ten megabytes: the card's libraries would be the larger risk
    return "cuda" if machine.cuda_devices else "cpu"


def _workers(device: str, cores: int) -> int:
    """On a CPU many thin workers beat one wide one: decoding hardly gains from more threads."""
    return CUDA_WORKERS if device == "cuda" else min(cores, MOST_CPU_WORKERS)
