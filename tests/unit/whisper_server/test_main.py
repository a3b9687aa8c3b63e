"""The command line: what is refused, and its help."""

import os
import time
from pathlib import Path

import pytest

from tests.support.pace import scaled
from tests.support.whisper_process import run_server
from whisper_server.__main__ import _one_thread_for_numpy, main

OFFLINE_SECONDS = 20


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["calibrat"], "invalid choice: 'calibrat'"),
        (["calibrate", "--seconds", "0"], "not between 1 and 3600"),
        (["calibrate", "--seconds", "long"], "'long' is not a number"),
        (["calibrate", "--port", "1"], "unrecognized arguments: --port 1"),
        (["--batch-size", "0"], "argument --batch-size: Input should be greater than or equal"),
        (["--gpu-devices", "first"], "not card numbers like 0 or 0,1, nor all"),
        (["--decoding", "fast"], "invalid choice: 'fast'"),
    ],
)
def test_a_wrong_flag_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["calibrate"], ["download"]])
def test_help_has_examples(capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*command, "--help"])
    assert caught.value.code == 0
    assert f"  whisper-server {' '.join(command)}".rstrip() in capsys.readouterr().out


def test_numpy_leaves_the_cores_to_the_decoders_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "")  # so that its absence is restored
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    _one_thread_for_numpy()
    assert (os.environ["OPENBLAS_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]) == ("1", "3")


@pytest.mark.parametrize("arguments", [["--model", "medium"], ["download", "medium"]], ids=" ".join)
def test_a_model_that_is_not_here_is_one_clear_line_without_a_network(
    arguments: list[str], tmp_path: Path
) -> None:
    begun = time.monotonic()
    done = run_server(*arguments, MODEL_DIR=str(tmp_path), PORT="0")
    assert done.returncode == 3
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("whisper-server: ")]
    assert "'medium' is not on this machine and cannot be fetched" in line
    assert "whisper-server download medium" in line
    assert "Traceback" not in done.stderr
    assert time.monotonic() - begun < scaled(OFFLINE_SECONDS)
