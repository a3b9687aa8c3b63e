"""A recording that changes its language, through the whole fleet, with real weights."""

from pathlib import Path

import pytest

from tests.support.models import base_model
from tests.support.paths import ROOT
from tests.support.transcribe_command import transcribe

RECORDING = ROOT / "tests" / "data" / "english-then-german.ogg"


@pytest.mark.words
@pytest.mark.parametrize("workers", [1, 4])
def test_each_part_is_transcribed_in_its_language_however_chunks_are_grouped(
    tmp_path: Path, workers: int
) -> None:
    text = transcribe(tmp_path, str(RECORDING), "--model", base_model(), "--workers", str(workers))
    for words in ("garden club", "look at the bridge", "heute sehr schön", "einen kleinen See"):
        assert words in text, text
