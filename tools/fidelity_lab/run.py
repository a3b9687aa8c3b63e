"""One run: the sets, the contestants that are wanted, and what each of them made of each set."""

import hashlib
import importlib.metadata
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import ctranslate2

from tools.bench_lab.contestants import ModelAt
from tools.bench_lab.server import OurServer
from tools.fidelity_lab.contestants import (
    GIVEN,
    ORACLE,
    PEERS,
    SERVER,
    Contestant,
    Oracle,
    Peer,
    Result,
    Whole,
    shared_model,
)
from tools.fidelity_lab.fleet import FLEETS, Fleet, fleet_name
from tools.fidelity_lab.measures import Measured, Segment, measure
from tools.fidelity_lab.results import Results
from tools.fidelity_lab.tape import SpeechSet

NAMES = (*PEERS, SERVER, GIVEN, ORACLE, *FLEETS)

OnSet = Callable[[str, SpeechSet, Measured], None]
"""Called with a contestant's name, a set and what came of it."""


@dataclass(frozen=True)
class RunOptions:
    """Contestants and how they run. `workers`: of the fleets; each number is a contestant.

    `cache`: a folder that keeps the transcripts of faster-whisper for the next run.
    """

    names: Sequence[str] = NAMES
    workers: Sequence[int] = (4,)
    server_options: Mapping[str, str] | None = None
    cache: Path | None = None


def is_multilingual(folder: Path) -> bool:
    return bool(ctranslate2.models.Whisper(str(folder), compute_type="int8").is_multilingual)


def run(
    results: Results,
    model: ModelAt,
    options: RunOptions,
    on_begin: Callable[[str, float], None],
    on_set: OnSet,
) -> None:
    """Fill `results`, which has the sets. `on_begin`: a contestant, and the seconds of its sets.

    Raises CallFailed, FleetFailed, ServerBroken and SttError; nothing is left running.
    """
    with ExitStack() as stack:
        for who in contestants(model, options, stack):
            sets = [one for one in results.sets if who.takes(one)]
            if not sets:
                continue
            on_begin(who.name, sum(one.seconds for one in sets))
            segments = results.segments.setdefault(who.name, {})
            measured = results.measured.setdefault(who.name, {})
            began = time.monotonic()
            for one, transcript in who.transcribe(sets):
                segments[one.name], measured[one.name] = transcript, measure(one, transcript)
                on_set(who.name, one, measured[one.name])
            results.seconds[who.name] = time.monotonic() - began


def contestants(model: ModelAt, options: RunOptions, stack: ExitStack) -> Iterator[Contestant]:
    """Those that are wanted; a server is started for the first that needs it."""
    load = shared_model(model)
    for name in PEERS:
        if name in options.names:
            peer = Peer(name, load)
            yield Cached(peer, model, options.cache) if options.cache else peer
    if set(options.names) <= set(PEERS):
        return
    work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stt-fidelity-")))
    server = stack.enter_context(OurServer(model, options.server_options or {}, work))
    ours: list[Contestant] = [Whole(SERVER, server), Whole(GIVEN, server), Oracle(server)]
    yield from (one for one in ours if one.name in options.names)
    for kind in FLEETS:
        for workers in options.workers if kind in options.names else ():
            yield Fleet(fleet_name(kind, workers, options.workers), kind, server, workers)


@dataclass
class Cached:
    """A contestant whose transcripts are kept in a folder, and read from there the next time."""

    contestant: Contestant
    model: ModelAt
    folder: Path

    @property
    def name(self) -> str:
        return self.contestant.name

    def takes(self, one: SpeechSet) -> bool:
        return self.contestant.takes(one)

    def transcribe(self, sets: Sequence[SpeechSet]) -> Iterator[Result]:
        self.folder.mkdir(parents=True, exist_ok=True)
        weights = _digest((self.model.folder / "model.bin").read_bytes())
        version = importlib.metadata.version("faster-whisper")
        for one in sets:
            key = _digest(f"{self.name} {weights} {version}".encode(), one.samples.tobytes())
            file = self.folder / f"{key}.json"
            if not file.exists():
                ((_, transcript),) = self.contestant.transcribe([one])
                file.write_text(json.dumps([asdict(segment) for segment in transcript]))
            yield one, tuple(Segment(**segment) for segment in json.loads(file.read_text()))


def _digest(*parts: bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()
