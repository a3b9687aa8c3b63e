"""The folder of uploads: locks, room, strays, and what the disk answers."""

import errno
import fcntl
import os
import stat
import time
from pathlib import Path
from typing import BinaryIO

import pytest
from bson import ObjectId

from stt.coordinator.errors import OutOfSpace
from stt.coordinator.uploads import spool as module
from stt.coordinator.uploads.spool import Spool
from stt.errors import ConfigError


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "uploads")


def test_a_folder_has_one_id_for_all_processes_and_is_for_its_owner_alone(spool: Spool) -> None:
    assert Spool(spool.folder).id == spool.id
    assert len(spool.id) == 24
    assert stat.S_IMODE(spool.folder.stat().st_mode) == 0o700
    assert [path.name for path in spool.folder.iterdir()] == [".id"]


def test_two_folders_have_different_ids(spool: Spool, tmp_path: Path) -> None:
    assert Spool(tmp_path / "other").id != spool.id


def test_a_folder_that_cannot_be_made_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"Uploads cannot be stored in .*/file/uploads: Not a d"):
        Spool(tmp_path / "file" / "uploads")


def test_a_planted_link_gets_no_uploads(tmp_path: Path) -> None:
    shared, elsewhere = tmp_path / "shared", tmp_path / "elsewhere"
    shared.mkdir()
    elsewhere.mkdir(mode=0o755)
    (shared / "uploads").symlink_to(elsewhere)
    shared.chmod(0o1777)
    with pytest.raises(ConfigError, match="a link that another user may have made"):
        Spool(shared / "uploads")
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o755
    assert not list(elsewhere.iterdir())
    shared.chmod(0o755)
    assert Spool(shared / "uploads").id, "in a folder of one's own the link is one's own"


def test_a_new_file_is_locked_until_it_is_closed(spool: Spool) -> None:
    file = spool.create()
    assert file.exists
    assert spool.ids() == {file.id}
    with spool.hold(file.id) as held:
        assert held is None
    file.write(b"RIFF")
    file.flush()
    file.close()
    with spool.hold(file.id) as held:
        assert held is not None
        assert held.path.read_bytes() == b"RIFF"


def test_a_missing_file_can_be_held_as_such(spool: Spool) -> None:
    with spool.hold(ObjectId()) as held:
        assert held is not None
        assert not held.exists
        assert not held.is_forgotten
        held.remove()


def test_a_removed_file_is_gone_and_may_be_removed_again(spool: Spool) -> None:
    file = spool.create()
    file.remove()
    file.remove()
    assert spool.ids() == set()


def test_a_file_that_was_removed_before_it_was_locked_is_not_used(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, removed = fcntl.flock, list[str]()

    def lock_late(file: BinaryIO, operation: int) -> None:
        if not removed:
            [path] = [path for path in spool.folder.iterdir() if path.name != ".id"]
            path.unlink()
            removed.append(path.name)
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    file = spool.create()
    assert str(file.id) not in removed
    assert file.path.exists()
    file.remove()


def test_only_names_of_uploads_are_uploads(spool: Spool) -> None:
    (spool.folder / "notes.txt").touch()
    assert spool.ids() == set()


@pytest.mark.parametrize(("days", "is_forgotten"), [(6, False), (8, True)])
def test_a_file_is_forgotten_after_a_week(spool: Spool, days: int, is_forgotten: bool) -> None:
    file = spool.create()
    then = time.time() - days * 86_400
    os.utime(file.path, (then, then))
    assert file.is_forgotten == is_forgotten
    file.remove()


def test_room_is_kept_free_for_the_database(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "free_bytes", lambda: module.RESERVE_BYTES + 100)
    spool.check_room(100)
    with pytest.raises(OutOfSpace, match="nearly full"):
        spool.check_room(101)
    assert Spool(spool.folder).free_bytes() > 0


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full: make room"),
        (errno.EDQUOT, "disk is full: make room"),
        (errno.EIO, "cannot store the upload: Input/output error"),
    ],
)
def test_errors_of_the_disk_become_507(spool: Spool, number: int, words: str) -> None:
    with pytest.raises(OutOfSpace, match=words), spool.translated():
        raise OSError(number, os.strerror(number))
