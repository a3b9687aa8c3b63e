"""Measure the shape in which this machine decodes fastest, and remember it for later starts."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from stt.transcripts.files import write_whole
from whisper_server.engines.stopwatch import Stopwatch
from whisper_server.errors import OutOfMemory, StartError
from whisper_server.hardware import cards
from whisper_server.model_names import find_model
from whisper_server.presets import EnginePlan, Machine, Shape
from whisper_server.settings import MAX_BATCH_SIZE
from whisper_server.user_cache import cache_folder

CPU_BATCHES: tuple[int, ...] = (1, 2, 4, 8, 16)
CARD_BATCHES: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
CARD_STREAMS = (1, 2)

MIN_SPEED_SHARE = 0.8
"""A larger batch is not tried once one is slower than this share of the best of its streams."""
MAX_BATCH_SHARE = 5.0
"""Nor is one that would take more than this many times a candidate's share of the time."""
NOISE = 1.05
"""A gain below this factor is noise: then the smaller batch is better."""

CALIBRATED = "calibrated on this machine"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subject:
    """What a measured shape is valid for: a model, and what matters of the machine."""

    model: str
    device: str
    compute_type: str
    cores: int
    card: str
    ctranslate2: str

    @classmethod
    def of(cls, plan: EnginePlan, machine: Machine) -> "Subject":
        """Return the subject; it has the path of a model in a folder: names are not unique."""
        found = find_model(plan.model)
        used = cards()[plan.device_indices[0] :] if plan.device == "cuda" else ()
        return cls(
            model=str(found.folder.resolve()) if found.folder else found.name,
            device=plan.device,
            compute_type=plan.compute_type,
            cores=machine.cores,
            card=used[0].name if used else "",
            ctranslate2=version("ctranslate2"),
        )


@dataclass(frozen=True)
class Measured:
    """A candidate and its speed; None if the device had no memory for it."""

    shape: Shape
    windows_per_second: float | None


class _Remembered(BaseModel):
    """A shape as it is in the file, with what it is valid for."""

    subject: Subject
    streams: int = Field(ge=1, le=256)
    threads: int = Field(ge=1, le=256)
    batch_size: int = Field(ge=1, le=MAX_BATCH_SIZE)
    windows_per_second: float = Field(gt=0)


class _File(BaseModel):
    shapes: list[_Remembered]


def candidates(machine: Machine, device: str, preset: Shape) -> list[Shape]:
    """Return the shapes to try, batches ascending, with the preset's streams and threads.

    On a CPU streams × threads is all cores: fewer leave some idle.
    """
    if device == "cuda":
        pairs = {(n, preset.threads) for n in CARD_STREAMS}
    else:
        cores = machine.cores
        pairs = {(n, cores // n) for n in range(1, cores + 1) if not cores % n}
    pairs.add((preset.streams, preset.threads))
    batches = CARD_BATCHES if device == "cuda" else CPU_BATCHES
    return [Shape(*pair, batch, CALIBRATED) for pair in sorted(pairs) for batch in batches]


def measure(
    folder: Path,
    plan: EnginePlan,
    shapes: Sequence[Shape],
    seconds: float,
    on_step: Callable[[Shape], None] = lambda _: None,
) -> Iterator[Measured]:
    """Yield the speed of each shape within about `seconds`, more if a window takes long.

    `on_step` is called before each. Leaves out batches that are larger than one that was slow.
    Raises ModelUnavailable, EngineFailed.
    """
    part = seconds / len(shapes)
    for _, group in groupby(shapes, lambda shape: (shape.streams, shape.threads)):
        first, *larger = group
        watch = Stopwatch(folder, replace(plan, shape=first))
        best = rate = 0.0
        for shape in (first, *larger):
            if rate and shape.streams * shape.batch_size / rate > MAX_BATCH_SHARE * part:
                break
            on_step(shape)
            try:
                rate = watch.windows_per_second(shape.batch_size, part)
            except OutOfMemory:
                yield Measured(shape, None)
                break
            yield Measured(shape, rate)
            best = max(best, rate)
            if rate < MIN_SPEED_SHARE * best:
                break
        watch.close()


def best_of(measured: Sequence[Measured]) -> Measured:
    """Return the fastest; of those that are almost equal, the one with the smallest batches."""
    rated = [(found.windows_per_second or 0.0, found) for found in measured]
    fastest = max(rate for rate, _ in rated)
    if not fastest:
        raise StartError("No shape could be measured: the device has no room for a single window.")
    equal = [found for rate, found in rated if rate * NOISE >= fastest]
    return min(equal, key=lambda found: (found.shape.batch_size, found.shape.streams))


def remembered(subject: Subject, file: Path | None = None) -> Shape | None:
    """Return the measured shape; None if there is none or the file cannot be read."""
    for entry in _read(file or cache_file()):
        if entry.subject == subject:
            return Shape(entry.streams, entry.threads, entry.batch_size, CALIBRATED)
    return None


def remember(subject: Subject, best: Measured, file: Path | None = None) -> Path:
    """Add it to the file atomically; raises StartError if it cannot be written."""
    file = file or cache_file()
    shape, rate = best.shape, best.windows_per_second or 0.0
    entry = _Remembered(subject=subject, windows_per_second=rate, **vars(shape))
    others = [old for old in _read(file) if old.subject != subject]
    content = _File(shapes=[*others, entry]).model_dump_json(indent=2)
    try:
        write_whole([content], file)
    except OSError as error:
        raise StartError(
            f"The shape cannot be remembered in {file}: {error.strerror or error}. Set "
            f"STREAMS={shape.streams} CPU_THREADS={shape.threads} BATCH_SIZE={shape.batch_size}."
        ) from error
    return file


def cache_file() -> Path:
    """Return the file of the measured shapes, in the user's cache folder."""
    return cache_folder() / "whisper-shapes.json"


def _read(file: Path) -> list[_Remembered]:
    try:
        return _File.model_validate_json(file.read_bytes()).shapes
    except FileNotFoundError:
        return []
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not what we wrote"
        logger.warning("Ignoring %s (%s): whisper-server calibrate makes it anew", file, reason)
        return []
