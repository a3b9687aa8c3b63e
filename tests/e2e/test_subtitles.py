"""Subtitles of a real reading with real weights, from the whisper server and from the fleet."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import requests

from stt.local.database import is_installed
from stt.media.audio import SAMPLE_RATE, Samples
from tests.support.human_speech import reading
from tests.support.models import sample_model
from tests.support.mongo_process import missing
from tests.support.recordings import write_wav
from tests.support.whisper_process import WhisperProcess, running_server
from tests.support.whisper_stand_in import TRANSCRIPTIONS

PAUSE_SECONDS = 10.0
TOLERANCE_SECONDS = 0.8
_AUDIBLE = 600  # of 32768

Cue = tuple[float, float, list[str]]


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    """Return a recording of two sentences, each before a long pause, and when their speech ends."""
    silence = np.zeros(int(PAUSE_SECONDS * SAMPLE_RATE), np.int16)
    parts: list[Samples] = []
    ends = []
    for sentence in (reading()[0], reading()[3]):
        last = np.flatnonzero(np.abs(sentence.samples) > _AUDIBLE)[-1]
        ends.append(float(sum(len(part) for part in parts) + last) / SAMPLE_RATE)
        parts += [sentence.samples, silence]
    path = write_wav(tmp_path_factory.mktemp("subtitles") / "talk.wav", np.concatenate(parts))
    return path, ends


@pytest.fixture(scope="module")
def server() -> Iterator[WhisperProcess]:
    with running_server(model=sample_model()) as process:
        yield process


def cues_of(text: str) -> list[Cue]:
    found = re.findall(r"(?m)^([\d:,.]+) --> ([\d:,.]+)\n((?:.+\n)+)", text)
    return [(_seconds(start), _seconds(end), lines.splitlines()) for start, end, lines in found]


def _seconds(clock: str) -> float:
    hours, minutes, rest = clock.replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def assert_readable(cues: list[Cue], ends: list[float]) -> None:
    assert all(end <= start for (_, end, _), (start, _, _) in pairwise(cues))
    assert all(0 < end - start <= 7 for start, end, _ in cues)
    assert all(len(lines) <= 2 and max(map(len, lines)) <= 42 for _, _, lines in cues)
    first = [cue for cue in cues if cue[0] < ends[0]]
    assert len(cues) > len(first) > 1
    assert first[-1][1] == pytest.approx(ends[0], abs=TOLERANCE_SECONDS)
    assert cues[-1][1] == pytest.approx(ends[1], abs=TOLERANCE_SECONDS)


@pytest.mark.words
class TestReadableSubtitles:
    @pytest.mark.parametrize("name", ["srt", "vtt"])
    def test_of_the_server(
        self, server: WhisperProcess, talk: tuple[Path, list[float]], name: str
    ) -> None:
        path, ends = talk
        with path.open("rb") as file:
            answer = requests.post(
                server.url + TRANSCRIPTIONS,
                files={"file": file},
                data={"response_format": name},
                timeout=300,
            )
        assert_readable(cues_of(answer.text), ends)

    def test_of_the_fleet_with_the_words_in_json(
        self, server: WhisperProcess, talk: tuple[Path, list[float]], tmp_path: Path
    ) -> None:
        if not is_installed():
            missing("the embedded database: pip install 'stt-fleet[embedded]'")
        path, ends = talk
        command = [sys.executable, "-m", "stt", "transcribe", str(path), "--server", server.url]
        ended = subprocess.run(
            [*command, "-f", "srt", "-f", "json", "-o", "out", "--language-suffix"],
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"], "HOME": str(tmp_path), "STT_DATA_DIR": str(tmp_path),
                "STT_KEEP_ALIVE_SECONDS": "0",
                "STT_WORD_TIMESTAMPS": "1",
            },
            capture_output=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        assert_readable(cues_of((tmp_path / "out" / "talk.en.srt").read_text()), ends)
        found = json.loads((tmp_path / "out" / "talk.en.json").read_text())
        assert found["language"] == "en"
        assert found["model"]
        assert found["duration"] == pytest.approx(ends[1] + PAUSE_SECONDS, abs=1)
        for segment in found["segments"]:
            assert " ".join(word["word"].strip() for word in segment["words"]) == segment["text"]
            assert all(word["start"] <= word["end"] for word in segment["words"])
