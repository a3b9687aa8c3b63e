"""The sections of a measurement on a card. Each yields rows, until its deadline.

A row says `who` did `what` and in which `shape`, and then its numbers: speed in seconds of audio
per second, or `seconds` of a stage for each second of audio.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tools.bench_lab import callers, clips
from tools.bench_lab.bench import MAX_CALLS, MIN_CALLS, WARM_UP_CALLS
from tools.bench_lab.callers import Clip
from tools.bench_lab.ceiling import Shape
from tools.bench_lab.contestants import ModelAt, Result, Scenario
from tools.bench_lab.health import HealthWatch
from tools.bench_lab.memory import CardWatch, cpu_seconds
from tools.bench_lab.processes import lines_of, run_ceiling, run_contestant
from tools.bench_lab.report import CLIPS, LONG
from tools.bench_lab.server import OurServer
from tools.gpu.plan import Plan

Row = dict[str, Any]
TUNING = "tuning"
GUESSED_SPEED = 100.0
"""Of a section that was not preceded by the ceiling."""
MAX_IN_WORK = 64
PRESET_CALLERS = 64
LONG_PEER_SHARE = 1 / 8
"""Of the long file, for peers: none of them is faster the longer it is."""
PEER_CLIPS = 8
"""So many times all clips: more than a peer has time for."""
PEER_CALLERS = 64
HOST_OPTIONS = {"streams": "1", "batch-size": "64", "worker-count": "64"}


@dataclass
class Measurement:
    """A model, the clips that everybody is given, and what sections tell those after them."""

    size: str
    folder: Path
    plan: Plan
    work: Path
    best: Shape | None = None
    speed: float = GUESSED_SPEED
    clips: list[Clip] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clips = clips.make_clips(self.work, self.plan.clip_count)

    def model(self, compute_type: str | None = None) -> ModelAt:
        return ModelAt(self.folder, self.plan.device, compute_type or self.plan.compute_types[0])

    def crowd(self, clients: int) -> Scenario:
        """As many clips as the ceiling would need `crowd_seconds` for, but some for each caller."""
        mean = sum(clip.seconds for clip in self.clips) / len(self.clips)
        wished = round(self.plan.crowd_seconds * self.speed / mean)
        count = min(max(wished, MIN_CALLS * clients), MAX_CALLS * clients)
        many = tuple(clips.many(self.clips, count))
        return Scenario(f"{clients} caller{'s' if clients > 1 else ''}", clients, many)

    def long(self, share: float = 1.0) -> Scenario:
        seconds = self.plan.long_seconds * share
        return Scenario(LONG, 1, (clips.make_long(self.work, seconds),))

    def peer_scenarios(self) -> tuple[Scenario, ...]:
        """The clips come last: what is under way when their time is over goes on in the process."""
        many = tuple(clips.many(self.clips, PEER_CLIPS * len(self.clips)))
        return self.long(LONG_PEER_SHARE), Scenario(CLIPS, PEER_CALLERS, many)


def ceiling(of: Measurement, deadline: float) -> Iterator[Row]:
    """CTranslate2 alone on ready spectrograms, in many shapes; the best of them is kept."""
    ready = Scenario(CLIPS, 1, tuple(clips.many(of.clips, of.plan.ready_clips)))
    top = 0.0
    for compute_type in of.plan.compute_types:
        shapes = of.plan.shapes() if compute_type == of.plan.compute_types[0] else _few(of)
        found = run_ceiling(
            of.model(compute_type),
            shapes,
            (ready,),
            of.plan.shape_seconds,
            max(1.0, deadline - time.monotonic()),
        )
        for shape, result in found:
            yield _row("ceiling", result, f"{compute_type}, {shape}") | {"gauge": asdict(shape)}
            if compute_type == of.plan.compute_types[0] and result.speed > top:
                top, of.best, of.speed = result.speed, shape, result.speed


def _few(of: Measurement) -> list[Shape]:
    """Shapes for another compute type: around the best one."""
    best = of.best or of.plan.shapes()[0]
    sizes = {best.batch_size, *of.plan.batches[1:3], of.plan.batches[-1]}
    return [Shape(best.streams, best.threads, batch) for batch in sorted(sizes)]


def ours(of: Measurement, deadline: float) -> Iterator[Row]:
    """Our server in the ceiling's best shape, with all crowds and the long file; then greedily."""
    best = of.best or of.plan.shapes()[0]
    options = {
        "streams": str(best.streams),
        "batch-size": str(best.batch_size),
        "worker-count": str(min(MAX_IN_WORK, 2 * best.streams * best.batch_size)),
    }
    scenarios = [of.long(), *(of.crowd(clients) for clients in reversed(of.plan.crowds))]
    yield from _served("ours", of, options, scenarios, deadline)


def preset(of: Measurement, deadline: float) -> Iterator[Row]:
    """Our server as it starts by itself, and with a batch more at once."""
    clients = min(PRESET_CALLERS, of.plan.crowds[-1])
    for options in ({}, {"streams": "2"}):
        scenarios = [of.crowd(clients), of.long(LONG_PEER_SHARE)]
        name = "preset" + "".join(f", {key}={value}" for key, value in options.items())
        yield from _served(name, of, options, scenarios, deadline)


def host(of: Measurement, deadline: float) -> Iterator[Row]:
    """All of our server but the model: how much audio it could hand to a card."""
    clients = of.plan.crowds[-1]
    scenarios = [of.crowd(clients), of.long(LONG_PEER_SHARE)]
    options = HOST_OPTIONS | {"device": "cpu", "compute-type": "default"}
    yield from _served("host", of, options, scenarios, deadline, module="tools.gpu.host")


def _served(
    who: str,
    of: Measurement,
    options: Mapping[str, str],
    scenarios: list[Scenario],
    deadline: float,
    module: str = "whisper_server",
) -> Iterator[Row]:
    with OurServer(of.model(), options, of.work, module) as server:
        shape = server.shape()
        callers.run(server.transcribe, of.clips[:WARM_UP_CALLS], WARM_UP_CALLS)
        for scenario in scenarios:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            stages, cpu = server.stage_seconds(), cpu_seconds(server.pid) or 0.0
            with HealthWatch(server.url) as health, CardWatch() as card:
                measured = callers.run(
                    server.transcribe, scenario.clips, scenario.clients, limit_seconds=left
                )
            yield _row(who, Result.of(scenario, measured, server.pid), shape) | {
                "card_mb": card.peak_mb,
                "utilisation": card.utilisation,
                "health_p99_ms": health.latency_ms(0.99),
                "wall": measured.wall_seconds,
                "processor": (cpu_seconds(server.pid) or 0.0) - cpu,
                "stages": {
                    name: seconds - stages.get(name, 0.0)
                    for name, seconds in server.stage_seconds().items()
                },
            }


def plain(of: Measurement, deadline: float) -> Iterator[Row]:
    """faster-whisper in a loop."""
    yield from _peer("plain", of, (1,), of.peer_scenarios(), deadline)


def batched(of: Measurement, deadline: float) -> Iterator[Row]:
    """faster-whisper's batched pipeline, with the best size of its batches."""
    yield from _tuned_peer("batched", of, deadline)


def transformers(of: Measurement, deadline: float) -> Iterator[Row]:
    """transformers' pipeline with SDPA, with the best size of its batches."""
    yield from _tuned_peer("transformers", of, deadline, "tools.gpu.transformers_peer")


def _tuned_peer(
    kind: str, of: Measurement, deadline: float, module: str = "tools.bench_lab.contestants"
) -> Iterator[Row]:
    half = time.monotonic() + (deadline - time.monotonic()) / 2
    tuning = (Scenario(TUNING, 1, (clips.make_long(of.work, of.plan.tune_seconds),)),)
    best, top = of.plan.peer_batches[0], 0.0
    for batch in of.plan.peer_batches:
        if time.monotonic() < half:
            for row in _peer(kind, of, (batch,), tuning, half, module):
                yield row
                if row["speed"] > top:
                    best, top = batch, row["speed"]
    yield from _peer(kind, of, (best,), of.peer_scenarios(), deadline, module)


def _peer(
    kind: str,
    of: Measurement,
    numbers: tuple[int, ...],
    scenarios: tuple[Scenario, ...],
    deadline: float,
    module: str = "tools.bench_lab.contestants",
) -> Iterator[Row]:
    for number in numbers:
        left = max(1.0, deadline - time.monotonic())
        with CardWatch() as card:
            found = run_contestant(
                kind, of.model(), number, scenarios, left, module, of.plan.crowd_seconds
            )
            for result in found:
                yield _row(kind, result, f"batches of {number}") | {
                    "card_mb": card.peak_mb,
                    "utilisation": card.utilisation,
                }


def stages(of: Measurement, deadline: float) -> Iterator[Row]:
    """Each stage by itself."""
    batches = sorted({(of.best or of.plan.shapes()[0]).batch_size, of.plan.batches[0]})
    task = {
        "folder": str(of.folder),
        "device": of.plan.device,
        "compute_type": of.plan.compute_types[0],
        "clips": [str(clip.path) for clip in of.clips[: max(batches)]],
        "batches": batches,
    }
    left = max(1.0, deadline - time.monotonic())
    for line in lines_of("tools.gpu.stages", json.dumps(task), left):
        yield {"who": "stages", **json.loads(line)}


def _row(who: str, result: Result, shape: str) -> Row:
    told = asdict(result)
    return {"who": who, "what": told.pop("scenario"), "shape": shape, **told}


SECTIONS: dict[str, Callable[[Measurement, float], Iterator[Row]]] = {
    "ceiling": ceiling,
    "ours": ours,
    "batched": batched,
    "transformers": transformers,
    "plain": plain,
    "stages": stages,
    "preset": preset,
    "host": host,
}
