"""A real server process with the mlx engine, on the CPU."""

import signal
from pathlib import Path

import pytest
import requests

from tests.support.mlx_model import mlx_model
from tests.support.paths import SAMPLES
from tests.support.whisper_process import running_server
from tools.word_error_rate import word_errors

pytestmark = pytest.mark.mlx


def test_a_server_with_mlx_hears_what_was_said(tmp_path: Path) -> None:
    folder = mlx_model(tmp_path / "tiny.en-mlx")
    with running_server(backend="mlx", model=folder) as server:
        with (SAMPLES / "short-note.mp3").open("rb") as file:
            answer = requests.post(
                f"{server.url}/v1/audio/transcriptions",
                files={"file": file},
                data={"response_format": "verbose_json", "timestamp_granularities[]": "word"},
                timeout=90,
            )
        server.signal(signal.SIGTERM)
        exit_code = server.wait(20)
        log = server.log
    assert answer.status_code == 200, log
    body = answer.json()
    said = (SAMPLES / "short-note.txt").read_text()
    assert word_errors(said, body["text"]).rate <= 0.05
    assert body["language"] == "en"
    assert len(body["words"]) == len(body["text"].split())
    assert "mlx" in log
    assert exit_code == 0, log
