"""The sections of a measurement on a card. Each yields rows, until its deadline.

A row says `who` did `what` and in which `shape`, and then its numbers: speed in seconds of audio
per second, `words` of a second of audio, and what the card did meanwhile. A section that did not
come to all its rows raises NotReached.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tools.bench_lab import callers
from tools.bench_lab.bench import WARM_UP_CALLS
from tools.bench_lab.ceiling import Shape
from tools.bench_lab.contestants import Result, Scenario
from tools.bench_lab.health import HealthWatch
from tools.bench_lab.memory import CardWatch, cpu_seconds
from tools.bench_lab.processes import run_ceiling, run_contestant, told_by
from tools.bench_lab.report import CLIPS, LONG
from tools.bench_lab.server import OurServer
from tools.gpu.measurement import Measurement, Wanted
from tools.gpu.summary import CEILING, LONGEST, OURS, PRESET, SWEEP

Row = dict[str, Any]
FINAL_SECONDS = 20.0
"""What the ceiling keeps for the best shape."""
END_SECONDS = 5.0
"""So long a server may take to end."""
CEILING_LONG_SHARE = 1 / 3
"""Of the long file, whose windows the ceiling is given again and again."""
PLAIN_LONG_SHARE = 1 / 6
OTHER_SHAPES: dict[str, dict[str, str]] = {
    "2 x 32": {"streams": "2", "batch-size": "32"},
    PRESET: {},
    "3 x 16": {"streams": "3", "batch-size": "16"},
}
"""Of our server, the preset as it starts by itself. No more than 64 requests are in work, so only
shapes with fewer places have windows ready while others are decoded."""
HOST_OPTIONS = {"streams": "1", "batch-size": "64", "device": "cpu", "compute-type": "default"}


def ceiling(of: Measurement, deadline: float) -> Iterator[Row]:
    """CTranslate2 alone on ready spectrograms, in many shapes; the best of them is kept.

    The best one is measured again, and with the windows of the long file, which are fuller. A
    second model is tried in few shapes.
    """
    top = 0.0
    shapes = of.plan.shapes if of.best is None else _few(of)
    for shape, row in _ceiling(of, CEILING, of.plan.compute_types[0], shapes, deadline):
        yield row
        if row["what"] == SWEEP and row["speed"] > top:
            top, of.best, of.speed = row["speed"], shape, row["speed"]


def int8(of: Measurement, deadline: float) -> Iterator[Row]:
    """The ceiling with the other compute type, around the best shape."""
    compute_type = of.plan.compute_types[1]
    for _, row in _ceiling(of, f"{CEILING}, {compute_type}", compute_type, _few(of), deadline):
        yield row


def _few(of: Measurement) -> tuple[Shape, ...]:
    """The best shape so far, and the likeliest two."""
    return tuple(dict.fromkeys([of.best or of.plan.shapes[0], *of.plan.shapes[:2]]))


def _ceiling(
    of: Measurement, who: str, compute_type: str, shapes: Sequence[Shape], deadline: float
) -> Iterator[tuple[Shape, Row]]:
    ready, long = of.many(of.plan.ready_clips), of.long(CEILING_LONG_SHARE)
    many_long = long.clips * (1 + of.plan.ready_clips // 16)
    scenarios = tuple(
        Scenario(name, 1, some)
        for name, some in ((SWEEP, ready), (CLIPS, ready), (LONG, many_long))
    )
    left = _left(deadline)
    found = run_ceiling(
        of.model(compute_type),
        shapes,
        scenarios,
        of.plan.shape_seconds,
        max(0.0, left - FINAL_SECONDS * of.plan.scale),
        left,
    )
    wanted = [*(f"{SWEEP} {shape}" for shape in shapes), CLIPS, LONG]
    with Wanted(wanted) as missing:
        for shape, result in found:
            missing.found(f"{SWEEP} {shape}" if result.scenario == SWEEP else result.scenario)
            yield shape, _row(who, result, f"{compute_type}, {shape}")


def ours(of: Measurement, deadline: float) -> Iterator[Row]:
    """Our server in the ceiling's best shape: the crowd that is judged, the long file, the rest."""
    best = of.best or of.plan.shapes[0]
    options = {"streams": str(best.streams), "batch-size": str(best.batch_size)}
    first, *others = of.plan.crowds
    longest = of.long(of.plan.longest_seconds / of.plan.long_seconds, LONGEST)
    scenarios = [of.crowd(first), of.long(), *(of.crowd(one, 0.5) for one in others), longest]
    yield from _served(OURS, of, options, scenarios, deadline)


def shapes(of: Measurement, deadline: float) -> Iterator[Row]:
    """Our server in other shapes, and as it starts by itself."""
    best = of.best or of.plan.shapes[0]
    others = {
        name: options
        for name, options in OTHER_SHAPES.items()
        if name != f"{best.streams} x {best.batch_size}"
    }
    with Wanted(list(others)) as missing:
        for name, options in others.items():
            scenarios = [of.crowd(of.plan.crowds[0], 0.6)]
            yield from _served(OURS if options else PRESET, of, options, scenarios, deadline)
            missing.found(name)


def host(of: Measurement, deadline: float) -> Iterator[Row]:
    """All of our server but the model: how much audio it could hand to a card."""
    scenarios = [of.crowd(of.plan.crowds[0], 0.5), of.long()]
    yield from _served("host", of, HOST_OPTIONS, scenarios, deadline, module="tools.gpu.host")


def _served(
    who: str,
    of: Measurement,
    options: Mapping[str, str],
    scenarios: Sequence[Scenario],
    deadline: float,
    module: str = "whisper_server",
) -> Iterator[Row]:
    """A long file after another one is begun only if it would end in time."""
    long_speed = math.inf
    with (
        Wanted([f"{who}: {scenario.name}" for scenario in scenarios]) as missing,
        CardWatch() as card,
        OurServer(of.model(), options, of.work, module, _left(deadline), END_SECONDS) as server,
    ):
        shape = server.shape()
        callers.run(server.transcribe, of.many(WARM_UP_CALLS), WARM_UP_CALLS)
        for scenario in scenarios:
            left = deadline - time.monotonic()
            if left <= 0 or (scenario.is_long and scenario.audio_seconds / long_speed > left):
                continue
            stages, cpu = server.stage_seconds(), cpu_seconds(server.pid) or 0.0
            with HealthWatch(server.url) as health:
                measured = callers.run(
                    server.transcribe, scenario.clips, scenario.clients, limit_seconds=left
                )
            if scenario.is_long:
                long_speed = measured.speed or math.inf
            missing.found(f"{who}: {scenario.name}")
            yield _row(who, Result.of(scenario, measured, server.pid), shape, card) | {
                "health_p99_ms": health.latency_ms(0.99),
                "processor": (cpu_seconds(server.pid) or 0.0) - cpu,
                "stages": {
                    name: seconds - stages.get(name, 0.0)
                    for name, seconds in server.stage_seconds().items()
                },
            }


def plain(of: Measurement, deadline: float) -> Iterator[Row]:
    """faster-whisper in a loop."""
    scenarios = [of.peer_clips(1, 1), of.long(PLAIN_LONG_SHARE, number=1)]
    yield from _peer("plain", of, scenarios, deadline)


def batched(of: Measurement, deadline: float) -> Iterator[Row]:
    """faster-whisper's batched pipeline, whose batches are of one recording: one caller's."""
    scenarios = [of.long(number=number) for number in of.plan.peer_batches]
    first = of.peer_clips(1, of.plan.peer_batches[0])
    yield from _peer("batched", of, [first, *scenarios], deadline)


def transformers(of: Measurement, deadline: float) -> Iterator[Row]:
    """transformers' pipeline with SDPA, whose batches are of all callers."""
    scenarios = [
        scenario
        for number in of.plan.peer_batches
        for scenario in (of.peer_clips(of.plan.crowds[0], number), of.long(number=number))
    ]
    yield from _peer("transformers", of, scenarios, deadline, "tools.gpu.transformers_peer")


def _peer(
    kind: str,
    of: Measurement,
    scenarios: Sequence[Scenario],
    deadline: float,
    module: str = "tools.bench_lab.contestants",
) -> Iterator[Row]:
    wanted = [f"{scenario.name}, batches of {scenario.number}" for scenario in scenarios]
    number = scenarios[0].number or 1
    with Wanted(wanted) as missing, CardWatch() as card:
        found = run_contestant(
            kind, of.model(), number, scenarios, _left(deadline), module, of.plan.peer_seconds
        )
        for result in found:
            shape = f"batches of {result.number}"
            missing.found(f"{result.scenario}, {shape}")
            yield _row(kind, result, shape, card)


def stages(of: Measurement, deadline: float) -> Iterator[Row]:
    """Each stage by itself."""
    sizes = sorted({(of.best or of.plan.shapes[0]).batch_size, of.plan.shapes[-1].batch_size})
    task = {
        "folder": str(of.folder),
        "device": of.plan.device,
        "compute_type": of.plan.compute_types[0],
        "clips": [str(clip.path) for clip in of.many(min(16, of.plan.clip_count))],
        "batches": sizes,
    }
    for row in told_by("tools.gpu.stages", json.dumps(task), _left(deadline)):
        yield {"who": "stages", **row}


def _left(deadline: float) -> float:
    return max(1.0, deadline - time.monotonic())


def _row(who: str, result: Result, shape: str, card: CardWatch | None = None) -> Row:
    told = asdict(result)
    row = {"who": who, "what": told.pop("scenario"), "shape": shape, **told}
    if card is not None:
        busy = card.utilisation(result.wall_seconds)
        row |= {"card_mb": card.peak_mb, "utilisation": busy}
    return row


SECTIONS: dict[str, Callable[[Measurement, float], Iterator[Row]]] = {
    "ceiling": ceiling,
    "ours": ours,
    "batched": batched,
    "transformers": transformers,
    "shapes": shapes,
    "stages": stages,
    "int8": int8,
    "plain": plain,
    "host": host,
}
