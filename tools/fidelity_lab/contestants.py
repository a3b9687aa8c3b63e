"""Whose transcripts are compared, all with the same weights, beam 5 and voice detection.

Each turns sets into segments: `transcribe` yields a set with its transcript as soon as it is known.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from stt.media.audio import SAMPLE_RATE, Samples, encode_flac
from tools.bench_lab.callers import Clip
from tools.bench_lab.contestants import BEAM_SIZE, ModelAt
from tools.bench_lab.server import OurServer
from tools.fidelity_lab.measures import Segment
from tools.fidelity_lab.tape import ONE_LANGUAGE, SWITCHING, SpeechSet
from whisper_server.hardware import usable_cores

SEQUENTIAL, BATCHED, MULTILINGUAL = "fw-sequential", "fw-batched", "fw-multilingual"
PEERS = SEQUENTIAL, BATCHED, MULTILINGUAL
SERVER, GIVEN, ORACLE = "server", "server-given", "oracle"
PEER_BATCH = 8

Result = tuple[SpeechSet, tuple[Segment, ...]]


class Contestant(Protocol):
    """One way to transcribe."""

    @property
    def name(self) -> str: ...

    def takes(self, one: SpeechSet) -> bool:
        """Return whether this set says anything about this contestant."""

    def transcribe(self, sets: Sequence[SpeechSet]) -> Iterator[Result]: ...


@dataclass
class Peer:
    """faster-whisper in this process, with the options that its users have by default.

    Voice detection is on; of the batched pipeline it always is. `load` gives the model, which the
    three kinds of peers share.
    """

    name: str
    load: Callable[[], Any]

    def takes(self, one: SpeechSet) -> bool:
        return self.name != MULTILINGUAL or one.kind == SWITCHING

    def transcribe(self, sets: Sequence[SpeechSet]) -> Iterator[Result]:
        from faster_whisper import BatchedInferencePipeline

        model, more = self.load(), {}
        if self.name != SEQUENTIAL:
            model = BatchedInferencePipeline(model)
            more = {"batch_size": PEER_BATCH, "multilingual": self.name == MULTILINGUAL}
        for one in sets:
            wave = one.samples.astype(np.float32) / 32768
            found, _ = model.transcribe(wave, beam_size=BEAM_SIZE, vad_filter=True, **more)
            yield one, tuple(Segment(part.start, part.end, part.text) for part in found)


def shared_model(model: ModelAt) -> Callable[[], Any]:
    """Return what loads the model for faster-whisper, once."""
    loaded: list[Any] = []

    def load() -> Any:
        from faster_whisper import WhisperModel

        if not loaded:
            loaded.append(
                WhisperModel(
                    str(model.folder),
                    device=model.device,
                    compute_type=model.compute_type,
                    cpu_threads=usable_cores(),
                    local_files_only=True,
                )
            )
        return loaded[0]

    return load


@dataclass
class Whole:
    """Our server over HTTP: whole files, without a language or with the one that is spoken."""

    name: str
    server: OurServer

    def takes(self, one: SpeechSet) -> bool:
        return self.name != GIVEN or one.kind in ONE_LANGUAGE

    def transcribe(self, sets: Sequence[SpeechSet]) -> Iterator[Result]:
        for one in sets:
            language = one.languages[0] if self.name == GIVEN else None
            yield one, tuple(ask(self.server, one.samples, language))


@dataclass
class Oracle:
    """Our server, for each stretch of a set alone, with the language that is spoken in it."""

    server: OurServer
    name: str = ORACLE

    def takes(self, one: SpeechSet) -> bool:
        return one.kind == SWITCHING

    def transcribe(self, sets: Sequence[SpeechSet]) -> Iterator[Result]:
        for one in sets:
            found: list[Segment] = []
            for stretch in one.stretches:
                first, last = (round(at * SAMPLE_RATE) for at in (stretch.start, stretch.end))
                samples = one.samples[first:last]
                found += ask(self.server, samples, stretch.language, stretch.start)
            yield one, tuple(found)


def ask(
    server: OurServer, samples: Samples, language: str | None, start: float = 0.0
) -> list[Segment]:
    """Segments of one request, `start` seconds later. Raises CallFailed."""
    with tempfile.NamedTemporaryFile(suffix=".flac") as file:
        Path(file.name).write_bytes(encode_flac(samples))
        clip = Clip(Path(file.name), len(samples) / SAMPLE_RATE)
        body = server.verbose_json(clip, language)
    return [
        Segment(part["start"] + start, part["end"] + start, part["text"], part.get("language"))
        for part in body["segments"]
    ]
