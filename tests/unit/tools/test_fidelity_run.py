"""Which contestants a run has, and transcripts that are kept for the next one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stt.media.audio import SAMPLE_RATE
from tools.bench_lab.contestants import ModelAt
from tools.fidelity_lab.contestants import Result
from tools.fidelity_lab.fleet import fleet_name
from tools.fidelity_lab.measures import Segment
from tools.fidelity_lab.run import Cached
from tools.fidelity_lab.tape import NO_SPEECH, SpeechSet

QUIET = SpeechSet("quiet", NO_SPEECH, np.zeros(SAMPLE_RATE, np.int16))
LOUDER = SpeechSet("louder", NO_SPEECH, np.ones(SAMPLE_RATE, np.int16))


@dataclass
class Scripted:
    """Says how many sets it was asked for so far."""

    name: str = "scripted"
    asked: list[str] = field(default_factory=list)

    def takes(self, one: SpeechSet) -> bool:
        return one.name == QUIET.name

    def transcribe(self, sets: Sequence[SpeechSet]) -> Iterator[Result]:
        for one in sets:
            self.asked.append(one.name)
            yield one, (Segment(0.0, 1.0, f"text {len(self.asked)}", "en"),)


def texts(contestant: Cached, *sets: SpeechSet) -> list[str]:
    return [segment.text for _, transcript in contestant.transcribe(sets) for segment in transcript]


def model(folder: Path, weights: bytes) -> ModelAt:
    folder.mkdir()
    (folder / "model.bin").write_bytes(weights)
    return ModelAt(folder, "cpu", "int8")


def test_transcripts_are_kept_for_the_same_audio_and_weights(tmp_path: Path) -> None:
    scripted, kept = Scripted(), tmp_path / "kept"
    first = Cached(scripted, model(tmp_path / "a", b"weights"), kept)
    assert texts(first, QUIET, LOUDER) == ["text 1", "text 2"]
    again = Cached(scripted, model(tmp_path / "b", b"weights"), kept)
    assert texts(again, LOUDER, QUIET) == ["text 2", "text 1"]
    assert scripted.asked == ["quiet", "louder"]
    assert (again.name, again.takes(QUIET), again.takes(LOUDER)) == ("scripted", True, False)

    other = Cached(scripted, model(tmp_path / "c", b"other weights"), kept)
    assert texts(other, QUIET) == ["text 3"]


def test_the_first_number_of_workers_is_the_fleet_itself() -> None:
    assert [fleet_name("fleet", n, (1, 4)) for n in (1, 4)] == ["fleet", "fleet@4"]
