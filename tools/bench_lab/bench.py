"""One model, given to every contestant in turn, each at its best."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tools.bench_lab import callers, ceiling, clips, report
from tools.bench_lab.callers import Clip
from tools.bench_lab.ceiling import Shape
from tools.bench_lab.contestants import ModelAt, Result, Scenario
from tools.bench_lab.health import HealthWatch
from tools.bench_lab.memory import CardWatch, cpu_seconds
from tools.bench_lab.processes import ContestantFailed, run_ceiling, run_contestant
from tools.bench_lab.report import BATCHED, CEILING, COPIES, OURS, PLAIN, Comparison
from tools.bench_lab.server import OurServer
from whisper_server.hardware import usable_cores

CLIP_COUNT = 64
MIN_CALLS, MAX_CALLS = 3, 32
"""Of each caller."""
WARM_UP_CALLS = 4
BATCH_SIZES = {"cpu": (1, 4, 8), "cuda": (8, 16, 32, 64)}
CARD_COPIES = 4
KIND_OF = {PLAIN: "plain", BATCHED: "batched", COPIES: "copies"}


@dataclass(frozen=True)
class Wishes:
    """What a person may choose; `seconds` is how long the ceiling works on a crowd's clips.

    Shapes that need more than `sweep_clips` to be full are not tried.
    """

    crowds: tuple[int, ...]
    seconds: float
    long_seconds: float
    tune_seconds: float
    sweep_clips: int
    copies: int | None
    contestants: str
    server_options: dict[str, str]
    profile: bool


def crowd(some: Sequence[Clip], clients: int, audio_seconds: float) -> Scenario:
    """Return a scenario of about so much audio, but some calls of each caller, and not too many:
    most contestants are slower than the one that the seconds were chosen for."""
    mean = sum(clip.seconds for clip in some) / len(some)
    count = min(max(round(audio_seconds / mean), MIN_CALLS * clients), MAX_CALLS * clients)
    name = f"{clients} caller{'s' if clients > 1 else ''}"
    return Scenario(name, clients, tuple(clips.many(some, count)))


class Bench:
    """`folder` is for clips and a log; `tell` prints a line."""

    def __init__(
        self, model: ModelAt, wishes: Wishes, folder: Path, tell: Callable[[str], None]
    ) -> None:
        self._model = model
        self._wishes = wishes
        self._folder = folder
        self._say = tell
        self._clips = clips.make_clips(folder, CLIP_COUNT)
        self._long = clips.make_long(folder, wishes.long_seconds)
        self._cores = usable_cores()

    def run(self, name: str) -> Comparison:
        """Raises `ContestantFailed` and `ServerBroken`."""
        comparison = Comparison(name, self._cores, self._model.device)
        shape, speed = self._best_shape()
        scenarios = self._scenarios(speed)
        self._measure_ceiling(shape, scenarios, comparison)
        for letter in KIND_OF:
            if letter in self._wishes.contestants:
                self._measure(letter, scenarios, comparison)
        if OURS in self._wishes.contestants:
            self._measure_ours(scenarios, comparison)
        return comparison

    def _scenarios(self, speed: float) -> tuple[Scenario, ...]:
        crowds = (
            crowd(self._clips, clients, self._wishes.seconds * speed)
            for clients in self._wishes.crowds
        )
        return (*crowds, Scenario(report.LONG, 1, (self._long,)))

    def _best_shape(self) -> tuple[Shape, float]:
        """By a sweep over clips; and the speed that it reached."""
        some = clips.many(self._clips, self._wishes.sweep_clips)
        shapes = [
            shape
            for shape in ceiling.shapes_to_try(self._cores, self._model.device)
            if shape.streams * shape.batch_size <= len(some)
        ]
        self._say(f"The ceiling of {len(shapes)} shapes:")
        best: tuple[Shape, float] | None = None
        for shape, result in run_ceiling(self._model, shapes, (Scenario("sweep", 1, tuple(some)),)):
            note = f", {result.note}" if result.failed else ""
            self._say(f"  {shape!s:32} {result.speed:8.1f} x real time{note}")
            if best is None or result.speed > best[1]:
                best = shape, result.speed
        if best is None or not best[1]:
            raise ContestantFailed("CTranslate2 alone decoded nothing in any shape")
        return best

    def _measure_ceiling(
        self, shape: Shape, scenarios: Sequence[Scenario], comparison: Comparison
    ) -> None:
        """On the clips of the scenario that has most of them, and on the long file."""
        comparison.settings[CEILING] = str(shape)
        most: tuple[Clip, ...] = max((one.clips for one in scenarios), key=len)
        ready = (Scenario(report.CLIPS, 1, most), scenarios[-1])
        for _, result in run_ceiling(self._model, (shape,), ready):
            self._keep(CEILING, result, comparison)

    def _measure(self, letter: str, scenarios: Sequence[Scenario], comparison: Comparison) -> None:
        number, comparison.settings[letter] = self._tuned(letter)
        with CardWatch() as card:
            for result in run_contestant(KIND_OF[letter], self._model, number, scenarios):
                self._keep(letter, replace(result, card_mb=card.peak_mb), comparison)

    def _tuned(self, letter: str) -> tuple[int, str]:
        """The number with which a contestant is at its best, and what it stands for."""
        device = self._model.device
        if letter == COPIES:
            copies = self._wishes.copies or (CARD_COPIES if device == "cuda" else self._cores)
            return copies, f"{copies} copies, {max(1, self._cores // copies)} thread(s) each"
        what, numbers = "batches of {}", BATCH_SIZES[device]
        if letter == PLAIN:
            what, numbers = "{} thread(s)", tuple(sorted({1, self._cores}))
            if device == "cuda":
                return 1, what.format(1)
        seconds = min(self._wishes.tune_seconds, self._wishes.long_seconds)
        recording = clips.make_long(self._folder, seconds)
        scenario = Scenario("tuning", 1, (recording,))
        speeds = {}
        for number in numbers:
            for result in run_contestant(KIND_OF[letter], self._model, number, (scenario,)):
                speeds[number] = result.speed
                self._tell(letter, replace(result, note=what.format(number)))
        best = max(speeds, key=lambda number: speeds[number])
        return best, what.format(best)

    def _measure_ours(self, scenarios: Sequence[Scenario], comparison: Comparison) -> None:
        options = self._wishes.server_options
        with CardWatch() as card, OurServer(self._model, options, self._folder) as server:
            comparison.settings[OURS] = server.shape()
            self._say(f"  ({OURS}) {comparison.settings[OURS]}")
            callers.run(server.transcribe, self._clips[:WARM_UP_CALLS], WARM_UP_CALLS)
            for scenario in scenarios:
                stages, cpu = server.stage_seconds(), cpu_seconds(server.pid) or 0.0
                with HealthWatch(server.url) as health:
                    measured = callers.run(server.transcribe, scenario.clips, scenario.clients)
                if measured.was_interrupted:
                    raise KeyboardInterrupt
                result = Result.of(scenario, measured, server.pid)
                self._keep(OURS, replace(result, card_mb=card.peak_mb), comparison)
                comparison.health_p99_ms[scenario.name] = health.latency_ms(0.99) or float("inf")
                if self._wishes.profile:
                    comparison.profile[scenario.name] = {
                        "wall": measured.wall_seconds,
                        "processor": (cpu_seconds(server.pid) or 0.0) - cpu,
                    } | {
                        name: seconds - stages.get(name, 0.0)
                        for name, seconds in server.stage_seconds().items()
                    }

    def _keep(self, letter: str, result: Result, comparison: Comparison) -> None:
        self._tell(letter, result)
        comparison.add(letter, result)

    def _tell(self, letter: str, result: Result) -> None:
        note = f"  {result.note}" if result.note else ""
        self._say(
            f"  ({letter}) {result.scenario:11} {result.speed:8.1f} x real time"
            f"  {result.memory_mb:7.0f} MB{note}"
        )
