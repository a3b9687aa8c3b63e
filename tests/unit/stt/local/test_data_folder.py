"""The data folder of the embedded database lets only its user in, and keeps its password."""

import os
import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from stt.errors import ConfigError
from stt.local.data_folder import DataFolder


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path / "deep" / "data")
    folder.make_private()
    return folder


def test_a_new_folder_is_open_to_its_user_alone(folder: DataFolder) -> None:
    assert mode_of(folder.path) == 0o700


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o750])
def test_a_folder_that_was_open_to_others_is_closed(folder: DataFolder, mode: int) -> None:
    folder.path.chmod(mode)
    folder.make_private()
    assert mode_of(folder.path) == 0o700


def test_a_folder_that_all_users_share_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    with pytest.raises(ConfigError, match=r"all users share\. Set STT_DATA_DIR"):
        DataFolder(shared).make_private()
    assert mode_of(shared) == 0o1777


def test_a_folder_of_another_user_is_one_clear_line(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    folder.path.chmod(0o777)
    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(ConfigError, match=r"cannot be used: Operation not permitted\. Set STT"):
        folder.make_private()


def test_each_password_is_new_long_and_for_its_user_alone(folder: DataFolder) -> None:
    passwords = set()
    for _ in range(3):
        folder.make_password()
        assert mode_of(folder.password_file) == 0o600
        passwords.add(folder.password_file.read_text())
    assert len(passwords) == 3
    assert all(len(password) == 43 for password in passwords)  # 32 random bytes


def test_the_url_has_user_and_password_and_proves_both_sides(folder: DataFolder) -> None:
    folder.make_password()
    url = urlsplit(folder.url(12345) or "")
    assert (url.username, url.password) == ("stt", folder.password_file.read_text())
    assert (url.hostname, url.port) == ("127.0.0.1", 12345)
    assert "authMechanism=SCRAM-SHA-256" in url.query


@pytest.mark.parametrize("content", [None, b"", b"two words", b"x@example.org/", b"\xff\n"])
def test_a_password_that_is_missing_or_damaged_makes_no_url(
    folder: DataFolder, content: bytes | None
) -> None:
    if content is not None:
        folder.password_file.write_bytes(content)
    assert folder.url(12345) is None


def test_the_port_is_what_was_set_last(folder: DataFolder) -> None:
    assert folder.port() is None
    for port in (1234, 56789):
        folder.set_port(port)
        assert folder.port() == port


def test_a_full_disk_is_known(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not DataFolder(folder.path / "gone").is_full()
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 1_000}))
    assert folder.is_full()


def test_the_id_of_a_server_counts_while_it_holds_its_lock(folder: DataFolder) -> None:
    assert folder.server_pid() is None
    with folder.lock_server_pid() as lock:
        assert folder.server_pid() == os.getpid()
        lock.truncate(0)  # as between its lock and its id
        assert folder.server_pid() is None
    assert folder.server_pid() is None
