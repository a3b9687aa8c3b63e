"""The model, engine, device and shape that suit a machine, where the settings leave them open."""

from dataclasses import dataclass
from itertools import cycle, islice

from whisper_server.errors import StartError
from whisper_server.model_names import FASTER_WHISPER, MLX, backend_of
from whisper_server.settings import ALL_CARDS, Settings, variable_of

ROOMY_CARD_BYTES = 7_500_000_000
"""A card sold as 8 GB reports a little less than 8e9 bytes once the driver took its share."""

MLX_COMPUTE_TYPES = ("float16", "float32")
"""What mlx-whisper computes in; its quantized models say so in their own configuration."""

MAX_CPU_STREAMS = 8
"""Beyond it memory bandwidth is the limit, and each stream has a working set of its own."""
MAX_CUDA_THREADS = 4
"""With a card, the processor computes only the word times of a batch."""
ROOMY_CARD_BATCH = 16
SMALL_CARD_BATCH = 8
MLX_BATCH = 8

MIN_WORKERS, MAX_WORKERS = 16, 64
MIN_CALLS = 4
SHAPE_SETTINGS = ("streams", "cpu_threads", "batch_size")


@dataclass(frozen=True)
class Machine:
    """What is known of a machine; `cuda_memory_bytes` is None if unknown.

    `has_metal`: Apple silicon. `has_mlx`: the library is installed.
    """

    cores: int
    cuda_devices: int = 0
    cuda_memory_bytes: int | None = None
    has_metal: bool = False
    has_mlx: bool = False


@dataclass(frozen=True)
class Shape:
    """How a copy of the model works: `streams` batches side by side, with `threads` each.

    `reason` is where it comes from: settings, a calibration or a preset.
    """

    streams: int
    threads: int
    batch_size: int
    reason: str

    def __str__(self) -> str:
        return f"{self.streams} stream(s) of {self.threads} thread(s), batches of {self.batch_size}"


@dataclass(frozen=True)
class EnginePlan:
    """What will be loaded, and in which shape; nothing in it is `auto`.

    `device_indices` has one entry for each copy of the model; `worker_count` requests are in work
    at once.
    """

    model: str
    backend: str
    device: str
    compute_type: str
    shape: Shape
    device_indices: tuple[int, ...]
    worker_count: int

    @property
    def devices(self) -> tuple[str, ...]:
        """The device of each copy: cuda:0, cuda:1, cpu, metal."""
        if self.device == "cuda":
            return tuple(f"cuda:{index}" for index in self.device_indices)
        return (self.device,) * len(self.device_indices)

    @property
    def useful_calls(self) -> int:
        """The number of concurrent calls that keep it busy: with more, each only waits longer."""
        places = len(self.device_indices) * self.shape.streams * self.shape.batch_size
        return min(self.worker_count, max(MIN_CALLS, 2 * places))

    def __str__(self) -> str:
        return (
            f"{self.model} with {self.backend} on {', '.join(dict.fromkeys(self.devices))} as "
            f"{self.compute_type}, {len(self.device_indices)} copy(s), each {self.shape} "
            f"({self.shape.reason})"
        )


def plan_engine(
    settings: Settings, machine: Machine, calibrated: Shape | None = None
) -> EnginePlan:
    """Return the plan for these settings, with defaults for this machine.

    The facts are those of `machine`, and of the files of the model that the settings name.
    `calibrated` holds for one copy of the model, and as a whole: if a part of it is set, none of
    it is used. Raises StartError when the settings contradict each other or name a card that is
    not there.
    """
    if settings.use_gpu is False and settings.device == "auto":
        settings = settings.model_copy(update={"device": "cpu"})
    backend = _backend(settings, machine)
    device = _device(settings, machine, backend)
    if settings.use_gpu and settings.device == "auto" and device == "cpu":
        raise StartError(
            "USE_GPU is true, and no GPU can be used here: check the driver with nvidia-smi (on a "
            "Mac, that the mlx engine is installed), or set USE_GPU=false."
        )
    roomy = (machine.cuda_memory_bytes or 0) >= ROOMY_CARD_BYTES
    model, compute_type = _model(device, backend, roomy)
    indices = _device_indices(settings, machine, device)
    shape = calibrated
    # It was measured with one copy on all cores, or with one on a card.
    is_open = all(getattr(settings, name) is None for name in SHAPE_SETTINGS)
    if shape is None or not is_open or (device != "cuda" and len(indices) > 1):
        shape = _shape(settings, machine.cores // len(indices), device, backend, roomy)
    places = len(indices) * shape.streams * shape.batch_size
    return EnginePlan(
        model=settings.model or model,
        backend=backend,
        device=device,
        compute_type=settings.compute_type or compute_type,
        shape=shape,
        device_indices=indices,
        worker_count=settings.worker_count or min(MAX_WORKERS, max(MIN_WORKERS, 2 * places)),
    )


def _backend(settings: Settings, machine: Machine) -> str:
    """Return the engine that is set, else the one of the model's files, else the machine's."""
    by_device = MLX if settings.device == "metal" else None
    chosen = by_device if settings.backend == "auto" else settings.backend
    required = backend_of(settings.model) if settings.model else None
    if chosen and required and chosen != required:
        raise StartError(
            f"The model '{settings.model}' is for {required}, not for {chosen}: "
            f"choose another --model, or leave --backend and --device out."
        )
    fits_mlx = settings.device == "auto" and settings.compute_type in {None, *MLX_COMPUTE_TYPES}
    own = MLX if machine.has_metal and machine.has_mlx and fits_mlx else FASTER_WHISPER
    backend = chosen or required or own
    if backend == MLX and not machine.has_mlx:
        raise StartError(
            "The mlx engine is not installed: pip install 'stt-fleet[server,mlx]' on a Mac with "
            "Apple silicon, or choose --backend faster-whisper and a model for it."
        )
    return backend


def _device(settings: Settings, machine: Machine, backend: str) -> str:
    if settings.device not in ("auto", "cpu", "metal" if backend == MLX else "cuda"):
        raise StartError(
            f"{backend} does not run on {settings.device}: choose another --device or --backend."
        )
    names_cards = settings.gpu_devices is not None and settings.device == "auto"
    wants_cuda = settings.device == "cuda" or (names_cards and backend == FASTER_WHISPER)
    if wants_cuda and not machine.cuda_devices:
        raise StartError(
            "No CUDA card can be used here: check the driver with nvidia-smi, or choose "
            "--device cpu."
        )
    if settings.device == "metal" and not machine.has_metal:
        raise StartError("There is no Apple silicon here: choose --device cpu or cuda.")
    if wants_cuda or settings.device != "auto":
        return "cuda" if wants_cuda else settings.device
    if backend == MLX:
        return "metal" if machine.has_metal else "cpu"
    return "cuda" if machine.cuda_devices else "cpu"


def _model(device: str, backend: str, roomy: bool) -> tuple[str, str]:
    """Return the preset's model and compute type."""
    if device == "metal":
        return "large-v3-turbo", "float16"
    if device == "cuda":
        return ("large-v3-turbo", "float16") if roomy else ("medium", "int8")
    return "base", "float32" if backend == MLX else "int8"


def _device_indices(settings: Settings, machine: Machine, device: str) -> tuple[int, ...]:
    """Return a card for each copy; more copies than cards share them in turn.

    By default the first card alone: the others may have another use.
    """
    copies, count = settings.model_instances, machine.cuda_devices
    if device != "cuda":
        return (0,) * (copies or 1)
    chosen = settings.gpu_devices or "0"
    cards = range(count) if chosen == ALL_CARDS else dict.fromkeys(map(int, chosen.split(",")))
    missing = [str(card) for card in cards if card >= count]
    if missing:
        raise StartError(
            f"GPU_DEVICES names card {', '.join(missing)}, but this machine has {count}, counted "
            "from 0."
        )
    return tuple(islice(cycle(cards), copies or len(cards)))


def _shape(settings: Settings, cores: int, device: str, backend: str, roomy: bool) -> Shape:
    """Return streams and threads that divide a copy's `cores`, given those that are set.

    A CPU decodes single windows side by side faster than batches of them: a batch waits for its
    longest text, and decoding hardly gains from more threads. A card wants large batches, and mlx
    computes in one thread.
    """
    streams, threads = settings.streams, settings.cpu_threads
    if backend == MLX:
        batch, preset = MLX_BATCH, f"preset for mlx on {device}"
    elif device == "cuda":
        size, batch = ("roomy", ROOMY_CARD_BATCH) if roomy else ("small", SMALL_CARD_BATCH)
        preset = f"preset for a {size} card"
        threads = threads or min(cores, MAX_CUDA_THREADS)
    else:
        batch, preset = 1, f"preset for {cores} core(s)"
        streams = streams or min(cores // (threads or 1), MAX_CPU_STREAMS) or 1
        threads = threads or cores // streams
    chosen = [variable_of(name) for name in SHAPE_SETTINGS if getattr(settings, name) is not None]
    rest = "" if len(chosen) == len(SHAPE_SETTINGS) else f", the rest {preset}"
    reason = f"{', '.join(chosen)} set{rest}" if chosen else preset
    return Shape(streams or 1, threads or 1, settings.batch_size or batch, reason)
