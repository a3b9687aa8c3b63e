"""A terminal that closes under a command: nothing is left running, and no claim."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stt.local.database import is_installed
from stt.local.stack import open_database
from stt.settings import Settings
from tests.support.mongo_process import missing
from tests.support.pace import until
from tests.support.pseudo_terminal import terminal
from tests.support.queue_builder import add_chunks
from tests.support.recordings import babble, write_wav
from tests.support.scripted_server import Answer, GatedServer, ScriptedServer, heard
from tests.support.speech import opus_tone


@pytest.fixture(autouse=True)
def _installed() -> None:
    if not is_installed():
        missing("the embedded database: pip install 'stt-fleet[embedded]'")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path / "data")  # type: ignore[call-arg]


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    own = {"STT_DATA_DIR": str(settings.data_dir), "SEQUENCE_SECONDS": "0"}
    return {name: value for name, value in os.environ.items() if name != "MONGO_URL"} | own


def database_processes(settings: Settings) -> list[str]:
    command = ["pgrep", "-f", f"secantus_server .*{settings.data_dir}"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()


def chunks_left(settings: Settings) -> tuple[int, int]:
    """Return how many chunks are claimed, and how many are open and have no failure."""
    with open_database(settings) as database:
        return (
            database.chunks.count_documents({"processing_by": {"$ne": None}}),
            database.chunks.count_documents({"transcribed_at": None, "attempts": 0}),
        )


@pytest.mark.parametrize("command", ["worker", "transcribe"])
def test_what_is_in_flight_is_finished_and_the_database_stopped(
    settings: Settings, environment: dict[str, str], tmp_path: Path, command: str
) -> None:
    talk = write_wav(tmp_path / "talk.wav", babble(3))
    with open_database(settings) as database:
        add_chunks(database, 3, audio=opus_tone(1.0))
    words = ["transcribe", str(talk)] if command == "transcribe" else []
    with GatedServer(capacity=1).running() as server:
        arguments = ["-m", "stt", *words, "--server", server.url, "--workers", "1"]
        with terminal(arguments, tmp_path, environment) as shown:
            until(lambda: server.calls)
            shown.close()
            server.gate.set()
            # Of `transcribe` the call in flight was all that there was to do.
            assert shown.process.wait(timeout=120) == (0 if words else 130)
    assert database_processes(settings) == []
    ours = 4 if command == "transcribe" else 3
    assert chunks_left(settings) == (0, ours - len(server.calls))


def test_ingest_stops_the_database_too(
    settings: Settings, environment: dict[str, str], tmp_path: Path
) -> None:
    growing = tmp_path / "growing.wav"
    growing.write_bytes(b"RIFF")
    arguments = ["-m", "stt", "ingest", str(growing), "--settle", "1000"]
    with terminal(arguments, tmp_path, environment) as shown:
        until(lambda: database_processes(settings))
        shown.close()
        assert shown.process.wait(timeout=120) == 130
    assert database_processes(settings) == []


def test_under_nohup_a_worker_goes_on(
    settings: Settings, environment: dict[str, str], tmp_path: Path
) -> None:
    with open_database(settings) as database:
        add_chunks(database, 2, audio=opus_tone(1.0))
    nohup = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN);"
        " os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    server = ScriptedServer(lambda _n, _upload: Answer(body=heard("on"), delay_seconds=1.0))
    with server.running():
        command = ["-m", "stt", "--server", server.url, "--required-empty-checks", "1"]
        process = subprocess.Popen(
            [sys.executable, "-c", nohup, *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=tmp_path,
            env=environment,
        )
        try:
            until(lambda: server.calls)
            process.send_signal(signal.SIGHUP)
            assert process.wait(timeout=120) == 0
        finally:
            process.kill()
            process.wait()
    assert chunks_left(settings) == (0, 0)
