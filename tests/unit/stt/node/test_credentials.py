import json
import os
import stat
from pathlib import Path

import pytest

from stt.errors import ConfigError
from stt.node.agent import is_persistent
from stt.node.credentials import (
    Credentials,
    CredentialsFile,
    checked_name,
    checked_url,
)
from stt.node.instance_lock import InstanceInfo, InstanceLock
from stt.settings import Settings

MINE = Credentials("https://stt.example.org", "m4-3fa2", "a-key", "M4 MacBook Pro – grün")


@pytest.fixture
def file(tmp_path: Path) -> CredentialsFile:
    return CredentialsFile(tmp_path / "not yet" / "there")


def test_what_was_saved_is_loaded_and_nobody_else_can_read_it(file: CredentialsFile) -> None:
    file.save(MINE)
    assert file.load() == MINE
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert [path.name for path in file.folder.iterdir()] == ["node.json"]


def test_a_key_that_others_can_read_is_refused(file: CredentialsFile) -> None:
    file.save(MINE)
    file.path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        file.load()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"server_url": 1}', '"node"', "\udcff"]
    + [json.dumps({"server_url": "http://x", "node_id": "n", "api_key": key, "name": "n"})
       for key in ("", "  ", "two\nlines", "schlüssel")],
)  # fmt: skip
def test_a_broken_file_is_called_broken(file: CredentialsFile, text: str) -> None:
    file.folder.mkdir(parents=True)
    file.path.write_bytes(text.encode("utf-8", "surrogateescape"))
    file.path.chmod(0o600)
    with pytest.raises(ConfigError, match=r"node\.json (is broken|cannot be read)"):
        file.load()


def test_a_machine_without_the_file_is_told_how_to_join(file: CredentialsFile) -> None:
    assert file.load_if_any() is None
    with pytest.raises(ConfigError, match="stt node register"):
        file.load()


def test_a_draft_that_is_not_saved_leaves_the_old_file(file: CredentialsFile) -> None:
    file.save(MINE)
    with pytest.raises(RuntimeError), file.replacing():
        raise RuntimeError
    assert file.load() == MINE
    assert len(list(file.folder.iterdir())) == 1


def test_a_folder_that_is_none_is_named_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = CredentialsFile(tmp_path / "file")
    with pytest.raises(ConfigError, match=r"node\.json cannot be written"), file.replacing():
        pytest.fail("it was opened")


def test_credentials_do_not_show_their_key() -> None:
    assert "a-key" not in f"{MINE!r} {MINE}"


@pytest.mark.parametrize(
    "url",
    ["", "box:8000", "ftp://box", "http://", "http://box:0", "http://box:x", "http://a:b@box",
     "http://box/?key=x", "http://box#x"],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        checked_url(url)


def test_an_address_loses_its_last_slash() -> None:
    assert checked_url(" https://example.org/stt/ ") == "https://example.org/stt"


@pytest.mark.parametrize("name", ["", "  ", "a\x1b[31mb", "x" * 101, "two\nlines"])
def test_a_name_that_no_coordinator_takes_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        checked_name(name)


def test_one_machine_has_one_node(tmp_path: Path) -> None:
    first, second = InstanceLock(tmp_path), InstanceLock(tmp_path)
    assert not second.is_held()
    with first.held():
        first.update(page_url="http://127.0.0.1:8001", known_name="M4")
        assert second.is_held()
        assert second.info() == InstanceInfo(os.getpid(), "http://127.0.0.1:8001", "M4")
        with pytest.raises(ConfigError, match=f"process {os.getpid()}"), second.held():
            pytest.fail("there were two")
    assert not second.is_held()
    with second.held():  # a name that both agreed on outlives a process, its page does not
        assert second.info() == InstanceInfo(os.getpid(), None, "M4")


@pytest.mark.parametrize("text", ["", "[]", "null", '{"pid": "x", "page_url": 3}'])
def test_broken_traces_are_no_traces(tmp_path: Path, text: str) -> None:
    (tmp_path / "node.state.json").write_text(text)
    assert InstanceLock(tmp_path).info() == InstanceInfo()


def test_a_node_stays_unless_it_was_told_when_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_persistent(Settings())
    assert is_persistent(Settings(limit=3, max_minutes=5))
    assert not is_persistent(Settings(required_empty_checks=2))
    monkeypatch.setenv("NODE_IDLE_TIMEOUT_MINUTES", "10")
    assert not is_persistent(Settings())
    monkeypatch.setenv("NODE_PERSISTENT", "1")
    assert is_persistent(Settings())
