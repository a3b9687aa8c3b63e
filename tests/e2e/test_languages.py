"""A recording that changes its language, through the whole fleet, with real weights."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stt.local.database import is_installed
from tests.support.models import base_model
from tests.support.mongo_process import missing
from tests.support.paths import ROOT

RECORDING = ROOT / "tests" / "data" / "english-then-german.ogg"


@pytest.mark.words
@pytest.mark.parametrize("workers", [1, 4])
def test_each_part_is_transcribed_in_its_language_however_chunks_are_grouped(
    tmp_path: Path, workers: int
) -> None:
    if not is_installed():
        missing("the embedded database: pip install 'stt-fleet[embedded]'")
    command = [sys.executable, "-m", "stt", "transcribe", str(RECORDING)]
    ended = subprocess.run(
        [*command, "--model", base_model(), "--workers", str(workers)],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "STT_DATA_DIR": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    text = ended.stdout
    for words in ("garden club", "look at the bridge", "heute sehr schön", "einen kleinen See"):
        assert words in text, text
