"""A call with one speaker a channel, transcribed with real weights."""

import json
from pathlib import Path

import numpy as np
import pytest

from stt.media.audio import Samples
from tests.support.human_speech import prompts
from tests.support.models import sample_model
from tests.support.recordings import write_wav
from tests.support.transcribe_command import transcribe
from tools.word_error_rate import word_errors

MAX_WRONG = 0.2
"""Share of words; these prompts take 0.1 with tiny.en."""


def noise(count: int, amplitude: float) -> Samples:
    random = np.random.default_rng(1)
    return np.asarray(random.standard_normal(count) * amplitude, dtype=np.int16)


@pytest.mark.words
def test_what_a_speaker_says_is_on_their_channel_and_nothing_on_that_of_a_silent_one(
    tmp_path: Path,
) -> None:
    question, answer = prompts("en", 12, seed=4), prompts("en", 10, seed=5)
    pause = noise(len(question.samples), 0)
    count = len(question.samples) + len(answer.samples)
    caller = np.concatenate([question.samples, noise(len(answer.samples), 0)])
    agent = np.concatenate([pause, answer.samples]) + noise(count, 10)
    call = write_wav(tmp_path / "call.wav", caller, agent, noise(count, 30))
    output = transcribe(
        tmp_path, str(call), "--channels", "split", "--format", "json", "--model", sample_model()
    )
    segments = json.loads(output)["segments"]
    assert {segment["channel"] for segment in segments} == {1, 2}
    for channel, said in ((1, question), (2, answer)):
        heard = " ".join(s["text"] for s in segments if s["channel"] == channel)
        assert word_errors(said.text, heard).rate <= MAX_WRONG, heard
