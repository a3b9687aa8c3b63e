"""Commands that are run when something is done."""

import errno
import json
import os
import shlex
import subprocess
import time
from pathlib import Path

import pytest

from stt.domain.notification import DeliveryFailure
from stt.notifications import command
from stt.notifications.command import Command
from tests.support.notifications import notification


def test_it_gets_the_event_in_its_environment_and_as_json(tmp_path: Path) -> None:
    file = tmp_path / "seen"
    text = f'{{ echo "$EVENT_TYPE|$EVENT_ID|$RECORDING_ID|$RECORDING_NAME"; cat; }} > {file}'
    event = notification("talk.mp3")
    assert Command(text).deliver(event, lambda: True) is None
    variables, _, rest = file.read_text().partition("\n")
    assert variables == "recording.done|evt_1|6903ce2e3006e94c81d59b3f|talk.mp3"
    assert json.loads(rest) == json.loads(event.body)


def test_a_name_is_no_part_of_the_command(tmp_path: Path) -> None:
    file, name = tmp_path / "seen", f"$(touch {tmp_path}/hacked); `id` '\" \x00.mp3"
    text = f'printf %s "$RECORDING_NAME" > {file}'
    assert Command(text).deliver(notification(name), lambda: True) is None
    assert file.read_text() == name.replace("\x00", "\ufffd")
    assert not (tmp_path / "hacked").exists()


def test_it_need_not_read_what_it_gets() -> None:
    long = notification("x" * 500_000, path="x" * 500_000)
    assert Command("exec true").deliver(long, lambda: True) is None


def test_one_that_cannot_be_started_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    failure = Command("true").deliver(notification(), lambda: True)
    assert failure is not None
    assert "Resource temporarily unavailable" in failure.reason


def test_another_exit_code_is_a_failure() -> None:
    assert Command("exit 3").deliver(notification(), lambda: True) == DeliveryFailure("exit code 3")
    failure = Command("/no/such/program").deliver(notification(), lambda: True)
    assert failure == DeliveryFailure("exit code 127")


def test_its_output_is_none_of_the_transcript(capfd: pytest.CaptureFixture[str]) -> None:
    assert Command("echo heard").deliver(notification(), lambda: True) is None
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "heard\n")


def test_one_that_hangs_is_ended_with_what_it_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "_MAX_SECONDS", 1.0)
    file = tmp_path / "pid"
    failure = Command(f"sleep 300 & echo $! > {file}; wait").deliver(notification(), lambda: True)
    assert failure is not None
    assert "it took longer than" in failure.reason
    assert_ends(int(file.read_text()))


def test_it_ends_with_the_program_that_runs_it(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    text = f"sleep 300 & echo $! > {shlex.quote(str(file))}; wait"
    failure = Command(text).deliver(notification(), lambda: not file.exists())
    assert failure == DeliveryFailure("it was ended with the program that ran it")
    assert_ends(int(file.read_text()))


def assert_ends(pid: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail(f"process {pid} goes on")


def test_its_name_and_key_hold_no_part_of_it() -> None:
    secret = Command("curl -H 'Authorization: Bearer hunter2' https://example.org")
    assert not any("hunter2" in shown for shown in (secret.name, secret.key, repr(secret)))
