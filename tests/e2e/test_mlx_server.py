"""A real server process with the mlx engine, on the CPU."""

import signal
from pathlib import Path

import pytest
import requests

from tests.support.mlx_model import FASTER_BLAS, mlx_model
from tests.support.speech import MILK, words
from tests.support.whisper_process import running_server

pytestmark = pytest.mark.mlx


def test_a_server_with_mlx_hears_what_was_said(tmp_path: Path) -> None:
    folder = mlx_model(tmp_path / "tiny.en-mlx")
    blas = {"LD_PRELOAD": FASTER_BLAS}  # a line in the log where there is none
    with running_server(blas, backend="mlx", model=folder) as server:
        with MILK.write(tmp_path / "milk.wav").open("rb") as file:
            answer = requests.post(
                f"{server.url}/v1/audio/transcriptions",
                files={"file": file},
                data={"response_format": "verbose_json", "timestamp_granularities[]": "word"},
                timeout=600,
            )
        server.signal(signal.SIGTERM)
        exit_code = server.wait(20)
        log = server.log
    assert answer.status_code == 200, log
    body = answer.json()
    assert words(body["text"]) == words(MILK.text)
    assert body["language"] == "en"
    assert len(body["words"]) == len(body["text"].split())
    assert "mlx" in log
    assert exit_code == 0, log
