"""One node process a machine, and the record of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stt.errors import ConfigError
from stt.node.instance_lock import InstanceInfo, InstanceLock

_HOLDER = """
import sys
from pathlib import Path
from stt.node.instance_lock import InstanceLock

with InstanceLock(Path(sys.argv[1])).held():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_and_names_the_first(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLDER, str(tmp_path)]
    lock = InstanceLock(tmp_path)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert lock.is_held()
        with pytest.raises(ConfigError, match=rf"runs already \(process {holder.pid}\)"):
            lock.held().__enter__()
        holder.kill()
    assert not lock.is_held()
    with lock.held():
        assert lock.info().pid == os.getpid()


def test_the_record_is_kept_while_the_lock_is_not(tmp_path: Path) -> None:
    lock = InstanceLock(tmp_path)
    with lock.held():
        lock.update(page_url="http://127.0.0.1:8001", known_name="M4")
    assert lock.info() == InstanceInfo(os.getpid(), "http://127.0.0.1:8001", "M4")
    with lock.held():
        assert lock.info() == InstanceInfo(os.getpid(), None, "M4")
    lock.remove_info()
    assert lock.info() == InstanceInfo()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "many"}', "\xff"])
def test_a_record_that_cannot_be_read_is_empty(tmp_path: Path, text: str) -> None:
    (tmp_path / "node.state.json").write_text(text, encoding="latin-1")
    assert InstanceLock(tmp_path).info() == InstanceInfo()


def test_a_folder_that_is_not_there_holds_no_lock(tmp_path: Path) -> None:
    lock = InstanceLock(tmp_path / "none")
    assert not lock.is_held()
    lock.update(pid=1)
    assert lock.info() == InstanceInfo()
    assert not (tmp_path / "none").exists()
