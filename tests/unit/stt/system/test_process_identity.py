"""A process is taken for ended on proof only."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stt.system import process_identity
from stt.system.process_identity import ProcessIdentity

SCRIPT = "import time; print(flush=True); time.sleep(600)"


@pytest.fixture
def me() -> ProcessIdentity:
    identity = ProcessIdentity.of_this_process()
    assert identity is not None
    return identity


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def identity_of(pid: int, me: ProcessIdentity) -> ProcessIdentity:
    return ProcessIdentity(me.machine, pid, process_identity._start_of(pid))


def test_it_is_read_as_it_was_written(me: ProcessIdentity) -> None:
    assert me.pid == os.getpid()
    assert ProcessIdentity.parse(str(me)) == me
    assert ProcessIdentity.of_this_process() == me


@pytest.mark.parametrize(
    "text", ["", "a", "a:1", ":1:2", "a::2", "a:x:2", "a:-1:2", "a:0:1", f"a:{2**31}:1", "a:²:1"]
)
def test_any_other_text_is_none(text: str) -> None:
    assert ProcessIdentity.parse(text) is None


def test_one_that_lives_has_not_ended(me: ProcessIdentity, child: subprocess.Popen[bytes]) -> None:
    assert not me.has_ended(seen_by=me)
    assert not identity_of(child.pid, me).has_ended(seen_by=me)


def test_one_that_was_killed_has_ended_waited_for_or_not(
    me: ProcessIdentity, child: subprocess.Popen[bytes]
) -> None:
    identity = identity_of(child.pid, me)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
    if identity.start:
        assert identity.has_ended(seen_by=me)
    child.wait()
    assert identity.has_ended(seen_by=me)


@pytest.mark.skipif(sys.platform != "linux", reason="start times are read on Linux")
def test_the_next_process_of_the_same_id_is_another(
    me: ProcessIdentity, child: subprocess.Popen[bytes]
) -> None:
    identity = identity_of(child.pid, me)
    assert replace(identity, start=str(int(identity.start) - 1)).has_ended(seen_by=me)
    assert not replace(identity, start="").has_ended(seen_by=me)


def test_on_another_machine_nothing_is_known(
    me: ProcessIdentity, child: subprocess.Popen[bytes]
) -> None:
    identity = identity_of(child.pid, me)
    child.kill()
    child.wait()
    assert not replace(identity, machine="another").has_ended(seen_by=me)


def test_one_of_another_user_whose_files_are_hidden_lives(
    me: ProcessIdentity, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    monkeypatch.setattr(process_identity, "_PROC", tmp_path)
    assert not replace(me, pid=12345).has_ended(seen_by=me)


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")
def test_a_container_is_another_machine(me: ProcessIdentity) -> None:
    """The same host name and boot, and a namespace of process ids of its own."""
    unshare = shutil.which("unshare")
    space = [unshare or "unshare", "--pid", "--fork", "--mount-proc"]
    if unshare is None or subprocess.run([*space, "true"], check=False).returncode:
        pytest.skip("unshare may make no namespaces here")
    script = "from stt.system.process_identity import *; print(ProcessIdentity.of_this_process())"
    told = subprocess.check_output([*space, sys.executable, "-c", script], text=True)
    inside = ProcessIdentity.parse(told.strip())
    assert inside is not None
    assert inside.machine != me.machine
    assert not inside.has_ended(seen_by=me)


def test_where_the_system_offers_no_proof_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")  # where signal 0 would not be a question
    assert ProcessIdentity.of_this_process() is None
