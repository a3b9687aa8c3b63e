"""The file of a whisper server that stays: who may use it, and when it ends."""

import contextlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stt.local.kept_server import KeptServer, ServerFile, fingerprint
from tests.support.pace import until

KEPT = KeptServer("http://127.0.0.1:1", "key", "this")


@contextlib.contextmanager
def server_of(file: ServerFile) -> Iterator[subprocess.Popen[bytes]]:
    """A server's process, without the server; it ends when nobody uses it."""
    handle = file.open_for_server()
    command = [sys.executable, "-m", "stt.system.exit_with_parent", "--users", str(handle)]
    process = subprocess.Popen(
        [*command, "http.server", "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(handle,),
    )
    os.close(handle)
    try:
        until(file.is_server_alive)
        yield process
    finally:
        with process:
            process.kill()


def leave(process: subprocess.Popen[bytes]) -> None:
    """End as the command that started it does."""
    assert process.stdin is not None
    process.stdin.close()


def test_the_next_command_finds_it_and_it_ends_with_the_last_one(tmp_path: Path) -> None:
    first = ServerFile.new(tmp_path)
    with server_of(first) as process:
        assert ServerFile.find(tmp_path, "this") is None
        first.leave(600, KEPT)
        leave(process)
        found = ServerFile.find(tmp_path, "this")
        assert found is not None
        second, kept = found
        assert kept == KEPT
        assert process.poll() is None
        second.leave(0)
        process.wait(60)
    assert [path.name for path in tmp_path.iterdir()] == ["whisper-server.json"]
    assert stat.S_IMODE((tmp_path / "whisper-server.json").stat().st_mode) == 0o600
    assert ServerFile.find(tmp_path, "this") is None


def test_one_that_was_started_with_something_else_is_let_go(tmp_path: Path) -> None:
    file = ServerFile.new(tmp_path)
    with server_of(file) as process:
        file.leave(600, KEPT)
        leave(process)
        assert ServerFile.find(tmp_path, "other") is None
        process.wait(60)


def test_of_two_the_last_one_stays(tmp_path: Path) -> None:
    files = [ServerFile.new(tmp_path), ServerFile.new(tmp_path)]
    with server_of(files[0]) as first, server_of(files[1]) as second:
        for file, process in zip(files, (first, second), strict=True):
            file.leave(600, KEPT)
            leave(process)
        first.wait(60)
        assert second.poll() is None


def test_a_user_that_is_killed_leaves_none(tmp_path: Path) -> None:
    file = ServerFile.new(tmp_path)
    with server_of(file) as process:
        file.leave(600, KEPT)
        leave(process)
        found = ServerFile.find(tmp_path, "this")
        assert found is not None
        found[0].close()  # as the system does
        process.wait(60)


def test_a_file_that_says_nothing_is_passed_over(tmp_path: Path) -> None:
    for text in ("", "[]", "{}", json.dumps({"url": "x"}), "\0"):
        (tmp_path / "whisper-server.json").write_text(text)
        assert ServerFile.find(tmp_path, "this") is None


def test_the_fingerprint_is_that_of_what_a_server_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = fingerprint(["--model", "base"])
    monkeypatch.setenv("TERM", "another")
    monkeypatch.setenv("STT_KEEP_ALIVE_SECONDS", "7")
    assert fingerprint(["--model", "base"]) == before
    others = [fingerprint(["--model", "small"]), fingerprint([])]
    monkeypatch.setenv("COMPUTE_TYPE", "float32")
    others.append(fingerprint(["--model", "base"]))
    monkeypatch.delenv("COMPUTE_TYPE")
    (tmp_path / ".env").write_text("COMPUTE_TYPE=int8\n")
    others.append(fingerprint(["--model", "base"]))
    assert len({before, *others}) == 5


def test_files_of_commands_that_were_killed_go(tmp_path: Path) -> None:
    killed = "import os, pathlib; from stt.local.kept_server import ServerFile as File;"
    killed += f" File.new(pathlib.Path({str(tmp_path)!r})); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", killed], check=False)
    [left] = tmp_path.iterdir()
    used = ServerFile.new(tmp_path)
    new = ServerFile.new(tmp_path)
    assert not left.exists()
    assert len(list(tmp_path.iterdir())) == 2
    used.close()
    new.close()


def test_a_current_folder_that_was_removed_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert fingerprint([])
    monkeypatch.chdir(tmp_path)
