"""A recording in one language, as English text, with real weights."""

import json
from pathlib import Path

import pytest

from tests.support.human_speech import prompts
from tests.support.models import base_model
from tests.support.recordings import write_wav
from tests.support.transcribe_command import transcribe


@pytest.mark.words
def test_french_speech_becomes_english_text_and_its_language_stays_french(tmp_path: Path) -> None:
    speech = write_wav(tmp_path / "speech.wav", prompts("fr", 20).samples)
    output = transcribe(
        tmp_path, str(speech), "--task", "translate", "--format", "json", "--model", base_model()
    )
    found = json.loads(output)
    assert (found["language"], found["task"]) == ("fr", "translate")
    words = [word.lower() for word in found["full_text"].split()]
    english = {"the", "a", "to", "of", "is", "you", "your", "and", "please", "for"}
    assert sum(word in english for word in words) > len(words) / 5, found["full_text"]
