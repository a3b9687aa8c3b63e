"""A watched folder with real processes: killed and started again, and in a storm of changes."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stt.local.database import is_installed
from tests.support.mongo_process import missing
from tests.support.pace import until
from tests.support.paths import ROOT
from tests.support.recordings import babble, write_wav
from tests.support.scripted_server import ScriptedServer, always
from tests.support.webhook_receiver import WebhookReceiver

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(autouse=True)
def _installed() -> None:
    if not is_installed():
        missing("the embedded database: pip install 'stt-fleet[embedded]'")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


@pytest.fixture
def start(tmp_path: Path, folder: Path) -> Iterator[Start]:
    """Watch the folder, with a server that hears the same in everything."""
    started: list[subprocess.Popen[bytes]] = []
    environment = {name: value for name, value in os.environ.items() if name != "MONGO_URL"}
    environment |= {"STT_DATA_DIR": str(tmp_path / "data"), "STT_KEEP_ALIVE_SECONDS": "0"}
    with ScriptedServer(always("good morning")).running() as server:

        def start(*flags: str, **variables: str) -> "subprocess.Popen[bytes]":
            command = [sys.executable, "-m", "stt", "ingest", "--watch", str(folder)]
            command += ["--settle", "0.2", "--search-every", "1", "--server", server.url, *flags]
            started.append(subprocess.Popen(command, env=environment | variables))
            return started[-1]

        yield start
        for process in started:
            process.kill()
            process.wait()


def test_what_comes_is_transcribed_before_and_after_a_kill(start: Start, folder: Path) -> None:
    process = start()
    write_wav(folder / "first.wav", babble(1))
    until((folder / "first.txt").exists)
    write_wav(folder / "second.wav", babble(2))
    process.kill()
    process.wait()
    (folder / "first.wav").rename(folder / "moved.wav")
    write_wav(folder / "third.wav", babble(3))
    process = start()
    texts = ["moved.txt", "second.txt", "third.txt"]
    until(lambda: sorted(path.name for path in folder.glob("*.txt")) == texts)
    assert {path.read_text() for path in folder.glob("*.txt")} == {"good morning\n"}
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 130


def test_what_is_done_is_notified(start: Start, folder: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    command = f'echo "$EVENT_TYPE $RECORDING_NAME" >> {shlex.quote(str(seen))}'
    with WebhookReceiver().running() as receiver:
        process = start("--on-done", command, STT_ON_DONE=receiver.url)
        write_wav(folder / "first.wav", babble(1))
        receiver.wait_for(lambda calls: len(calls) >= 1)
        until(lambda: seen.exists() and seen.read_text().endswith("\n"))
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    assert receiver.calls[0].json["type"] == "recording.done"
    assert receiver.calls[0].json["data"]["recording"]["name"] == "first.wav"
    assert seen.read_text().startswith("recording.done first.wav\n")


@pytest.mark.faults
def test_a_storm_leaves_each_good_recording_with_its_transcript() -> None:
    command = [sys.executable, "tools/storm_watch.py", "--minutes", "0.6", "--seed", "1"]
    command += ["--storm-seconds", "20", "--kill-seconds", "10"]
    environment = {name: value for name, value in os.environ.items() if name != "MONGO_URL"}
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
