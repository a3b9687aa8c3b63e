"""A new recording through the whole real path: the right words, at the right times."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from stt.local.database import is_installed
from stt.local.stack import open_database
from stt.media.audio import SAMPLE_RATE, Samples
from stt.settings import Settings
from tests.support.models import sample_model
from tests.support.mongo_process import missing
from tests.support.paths import SAMPLES
from tests.support.speech import AMIABLE, MARRIED, words, write_wav

SILENCE = SAMPLES / "silence.mp3"
FORMATS = ("txt", "srt", "vtt", "json", "tsv")
FIRST, SECOND = MARRIED.text, AMIABLE.text
PAUSES_SECONDS = (2.0, 3.0)
TOLERANCE_SECONDS = 0.5
_AUDIBLE = 300  # of 32768

Cue = tuple[float, float, str]


@dataclass(frozen=True)
class Transcripts:
    """What `stt transcribe` printed of one recording, by format; and where its words truly are."""

    printed: dict[str, str]
    messages: dict[str, str]
    times: list[tuple[float, float]]


def transcribe(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """`stt transcribe` with nothing configured but a folder for its database."""
    ended = subprocess.run(
        [sys.executable, "-m", "stt", "transcribe", *map(str, arguments)],
        cwd=folder,
        env={
            "SETTLE_SECONDS": "0",
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "STT_DATA_DIR": str(folder / "data"),
            "STT_KEEP_ALIVE_SECONDS": "0",
            "HF_HUB_OFFLINE": "1",
        },
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended


def record(path: Path) -> list[tuple[float, float]]:
    """Two sentences, each after its pause; returns when each begins and ends, in seconds."""
    parts: list[Samples] = []
    times = []
    count = 0
    for sentence, pause_seconds in zip((MARRIED, AMIABLE), PAUSES_SECONDS, strict=True):
        samples = sentence.samples()
        audible = np.flatnonzero(np.abs(samples) > _AUDIBLE)
        said = samples[audible[0] : audible[-1] + 1]
        silence = np.zeros(round(pause_seconds * SAMPLE_RATE), np.int16)
        begin = count + len(silence)
        count = begin + len(said)
        parts += [silence, said]
        times.append((begin / SAMPLE_RATE, count / SAMPLE_RATE))
    write_wav(np.concatenate([*parts, np.zeros(SAMPLE_RATE, np.int16)]), path)
    return times


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    if not is_installed():
        missing("the embedded database: pip install 'stt-fleet[embedded]'")


@pytest.fixture(scope="module")
def transcripts(tmp_path_factory: pytest.TempPathFactory) -> Transcripts:
    folder = tmp_path_factory.mktemp("true_words")
    talk = folder / "talk.wav"
    times = record(talk)
    runs: dict[str, subprocess.CompletedProcess[str]] = {}
    settings = Settings(_env_file=None, data_dir=folder / "data")  # type: ignore[call-arg]
    with open_database(settings):  # it stays up from one run to the next
        for name in FORMATS:
            model = ("--model", sample_model()) if not runs else ()
            runs[name] = transcribe(folder, talk, "--format", name, *model)
    return Transcripts(
        {name: run.stdout for name, run in runs.items()},
        {name: run.stderr for name, run in runs.items()},
        times,
    )


def seconds(clock: str) -> float:
    hours, minutes, rest = clock.replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def cues_of_subtitles(text: str) -> list[Cue]:
    found = re.findall(r"(?m)^([\d:.,]+) --> ([\d:.,]+)\n((?:.+\n)+)", text)
    return [(seconds(start), seconds(end), said) for start, end, said in found]


def cues_of_json(text: str) -> list[Cue]:
    return [(s["start"], s["end"], s["text"]) for s in json.loads(text)["segments"]]


def cues_of_tsv(text: str) -> list[Cue]:
    rows = [line.split("\t") for line in text.splitlines()[1:]]
    return [(int(start) / 1000, int(end) / 1000, said) for start, end, said in rows]


TIMED: dict[str, Callable[[str], list[Cue]]] = {
    "srt": cues_of_subtitles,
    "vtt": cues_of_subtitles,
    "json": cues_of_json,
    "tsv": cues_of_tsv,
}


def test_the_words_are_right_as_text(transcripts: Transcripts) -> None:
    assert words(transcripts.printed["txt"]) == words(f"{FIRST} {SECOND}")
    assert words(json.loads(transcripts.printed["json"])["full_text"]) == words(f"{FIRST} {SECOND}")


@pytest.mark.parametrize("name", TIMED)
def test_words_and_starts_are_right_in_every_format_that_has_times(
    transcripts: Transcripts, name: str
) -> None:
    for sentence, (begin, _) in zip(sentences(transcripts, name), transcripts.times, strict=True):
        assert sentence[0][0] == pytest.approx(begin, abs=TOLERANCE_SECONDS)


@pytest.mark.parametrize("name", TIMED)
def test_ends_are_right_in_every_format_that_has_times(transcripts: Transcripts, name: str) -> None:
    for sentence, (_, end) in zip(sentences(transcripts, name), transcripts.times, strict=True):
        assert sentence[-1][1] == pytest.approx(end, abs=TOLERANCE_SECONDS)


def sentences(transcripts: Transcripts, name: str) -> tuple[list[Cue], list[Cue]]:
    """Return the cues of each sentence; all words are right, and no cue reaches over the pause."""
    cues = TIMED[name](transcripts.printed[name])
    said = [words(text) for _, _, text in cues]
    assert list(chain(*said)) == words(f"{FIRST} {SECOND}")
    counts = np.cumsum([len(part) for part in said]).tolist()
    assert len(words(FIRST)) in counts, f"a cue reaches over the pause: {cues}"
    last_of_first = counts.index(len(words(FIRST)))
    return cues[: last_of_first + 1], cues[last_of_first + 1 :]


def test_only_the_first_format_costs_a_transcription(transcripts: Transcripts) -> None:
    started = [
        name for name in FORMATS if "Starting a whisper server" in transcripts.messages[name]
    ]
    assert started == ["txt"]


def test_silence_gives_an_empty_transcript(tmp_path: Path) -> None:
    ended = transcribe(tmp_path, SILENCE, "--format", "json", "--model", sample_model())
    found = json.loads(ended.stdout)
    assert found["segments"] == []
    assert found["full_text"] == ""
    assert found["completed_at"] is not None
