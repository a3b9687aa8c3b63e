"""A model that is measured on a card, the recordings that all are given, and what is missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.bench_lab import bench, clips
from tools.bench_lab.callers import Clip
from tools.bench_lab.ceiling import Shape
from tools.bench_lab.contestants import ModelAt, Scenario
from tools.bench_lab.processes import ContestantFailed
from tools.bench_lab.report import CLIPS, LONG
from tools.gpu.plan import Plan

GUESSED_SPEED = 100.0
"""Of a section that was not preceded by the ceiling."""
PEER_CLIPS = 16
"""So many times all clips: more than a peer has time for."""


class NotReached(Exception):
    """`str()` of it names the rows that are missing."""


class Recordings:
    """The clips that everybody is given, and long files, made when they are asked for."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder = folder
        self._long: dict[float, Clip] = {}
        self.clips = clips.make_clips(folder, count)

    def long(self, seconds: float) -> Clip:
        if seconds not in self._long:
            self._long[seconds] = clips.make_long(self._folder, seconds)
        return self._long[seconds]


@dataclass
class Measurement:
    """A model, the recordings, and what the ceiling tells the sections after it."""

    size: str
    folder: Path
    plan: Plan
    work: Path
    recordings: Recordings
    best: Shape | None = None
    speed: float = GUESSED_SPEED

    def model(self, compute_type: str | None = None) -> ModelAt:
        return ModelAt(self.folder, self.plan.device, compute_type or self.plan.compute_types[0])

    def many(self, count: int) -> tuple[Clip, ...]:
        return tuple(clips.many(self.recordings.clips, count))

    def crowd(self, clients: int, share: float = 1.0) -> Scenario:
        """As many clips as the ceiling would need `crowd_seconds` for, but some for each caller."""
        seconds = share * self.plan.crowd_seconds * self.speed
        return bench.crowd(self.recordings.clips, clients, seconds)

    def long(self, share: float = 1.0, name: str = LONG, number: int | None = None) -> Scenario:
        return Scenario(name, 1, (self.recordings.long(self.plan.long_seconds * share),), number)

    def peer_clips(self, clients: int, number: int) -> Scenario:
        many = self.many(PEER_CLIPS * len(self.recordings.clips))
        return Scenario(CLIPS, clients, many, number)


class Wanted:
    """What is to be found while it is open; raises NotReached at the end if something was not."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)

    def found(self, name: str) -> None:
        self._names.remove(name)

    def __enter__(self) -> "Wanted":
        return self

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if self._names and (error is None or isinstance(error, (ContestantFailed, NotReached))):
            because = f" ({error})" if error else ""
            raise NotReached(f"no time for {'; '.join(self._names)}{because}") from error
