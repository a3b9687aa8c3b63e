"""A recording in one language, as English text, with real weights."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stt.local.database import is_installed
from tests.support.human_speech import prompts
from tests.support.models import base_model
from tests.support.mongo_process import missing
from tests.support.recordings import write_wav


@pytest.mark.words
def test_french_speech_becomes_english_text_and_its_language_stays_french(tmp_path: Path) -> None:
    if not is_installed():
        missing("the embedded database: pip install 'stt-fleet[embedded]'")
    speech = write_wav(tmp_path / "speech.wav", prompts("fr", 20).samples)
    command = [sys.executable, "-m", "stt", "transcribe", str(speech), "--task", "translate"]
    ended = subprocess.run(
        [*command, "--format", "json", "--model", base_model()],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "STT_DATA_DIR": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert (found["language"], found["task"]) == ("fr", "translate")
    words = [word.lower() for word in found["full_text"].split()]
    english = {"the", "a", "to", "of", "is", "you", "your", "and", "please", "for"}
    assert sum(word in english for word in words) > len(words) / 5, found["full_text"]
