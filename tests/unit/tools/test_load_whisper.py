"""The load generator, against a real server around an engine that only counts."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.pace import until
from tests.support.paths import ROOT
from tests.support.whisper_stand_in import StandInEngine, running, wav
from tools.bench_lab.callers import percentile
from tools.load_whisper import main
from whisper_server.errors import EngineFailed

SCRIPT = ROOT / "tools" / "load_whisper.py"


@pytest.fixture
def recording(tmp_path: Path) -> str:
    path = tmp_path / "two-seconds.wav"
    path.write_bytes(wav(2.0))
    return str(path)


def test_every_caller_gets_its_answer_and_the_table_says_how_fast(
    recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(MAX_QUEUE=8, WORKER_COUNT=2) as server:
        flags = ["--clients", "3", "--requests", "6", "--server", server.url + "/v1/", "--health"]
        assert main([recording, *flags]) == 0
        assert len(server.engine.calls) == 6
    shown = capsys.readouterr().out
    row = next(line for line in shown.splitlines() if line.startswith("│"))
    callers, calls, failed, *latencies, speed = (cell.strip() for cell in row.strip("│").split("│"))
    assert (callers, calls, failed) == ("3", "6", "0")
    assert [float(one) for one in latencies] == sorted(float(one) for one in latencies)
    assert float(speed) > 0
    assert "/health: p50 " in shown


def test_compare_lets_one_caller_go_first_with_its_share(
    recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(MAX_QUEUE=8) as server:
        flags = ["--clients", "4", "--requests", "8", "--server", server.url]
        assert main([recording, *flags, "--compare", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)["runs"]
        assert [(one["clients"], one["calls"]) for one in told] == [(1, 2), (4, 8)]
        assert [one["audio_seconds"] for one in told] == [4.0, 16.0]

        assert main([recording, *flags, "--compare"]) == 0
    assert "4 callers: " in capsys.readouterr().out


def test_failed_calls_are_counted_by_kind(
    recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = StandInEngine(failure=EngineFailed("broken"))
    with running(engine, MAX_QUEUE=8) as server:
        flags = ["--clients", "2", "--requests", "4", "--server", server.url]
        assert main([recording, *flags]) == 1
    assert "4 x HTTP 500 " in capsys.readouterr().out


def test_a_refused_key_stops_all_callers_and_is_never_shown(
    recording: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STT_API_KEY", "wrong-hush")
    with running(API_KEY="right-hush-of-many-letters", MAX_QUEUE=8) as server:
        flags = ["--requests", "40", "--clients", "2", "--server", server.url]
        assert main([recording, *flags]) == 3
        shown = capsys.readouterr()
        assert "the server refuses the key" in shown.out
        assert "hush" not in shown.out + shown.err

        assert main([recording, *flags, "--api-key", "right-hush-of-many-letters"]) == 0
    assert "hush" not in "".join(capsys.readouterr())


def test_a_server_that_is_away_has_an_exit_code_of_its_own(
    recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert main([recording, "--server", f"http://127.0.0.1:{port}", "--requests", "50"]) == 5
    assert "the server cannot be reached" in capsys.readouterr().out


@pytest.mark.parametrize(
    "flags",
    [
        ["--clients", "0"],
        ["--requests", "many"],
        ["--server", "localhost:8081"],
        ["--server", "http://"],
        ["--api-key", "schlüssel"],
        ["--timeout", "nan"],
    ],
)
def test_wrong_usage_is_one_line_and_code_2(
    flags: list[str], recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([recording, *flags])
    assert stop.value.code == 2
    assert "schlüssel" not in capsys.readouterr().err


def test_a_file_that_is_no_recording_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.mp3").touch()
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path / "empty.mp3")])
    assert stop.value.code == 2
    assert "empty.mp3" in capsys.readouterr().err


def test_ctrl_c_shows_what_was_measured_until_then(recording: str) -> None:
    engine = StandInEngine()
    engine.may_load.set()
    with running(engine, loaded=False) as server:
        until(lambda: server.service.ready)
        process = _script(recording, "--clients", "1", "--server", server.url)
        until(lambda: bool(engine.batches))
        process.send_signal(signal.SIGINT)
        shown, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted" in shown


def _script(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_percentile_is_a_value_that_was_measured() -> None:
    hundred = list(range(100, 0, -1))
    assert [percentile(hundred, share) for share in (0.5, 0.9, 0.99, 1.0)] == [50, 90, 99, 100]
    assert percentile([7.0, 3.0], 0.5) == 3.0
    assert percentile([7.0], 0.99) == 7.0
    assert percentile([], 0.5) is None
