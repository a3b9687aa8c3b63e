"""A file is replaced whole or stays as it was, and no planted link is followed."""

import errno
from pathlib import Path

import pytest

from stt.system.files import followed, is_planted, is_shared, replacement


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_new_file_has_the_text_and_the_mode(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with replacement(path) as file:
        file.write("secret\n")
        assert not path.exists()
    assert path.read_bytes() == b"secret\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert names_in(tmp_path) == ["key"]


def test_an_old_file_stays_if_the_block_raises(tmp_path: Path) -> None:
    path = tmp_path / "talk.srt"
    path.write_text("old")

    def write_and_fail() -> None:
        with replacement(path) as file:
            file.write("half of the new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["talk.srt"]


def test_two_writers_at_once_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "talk.srt"
    with replacement(path) as first, replacement(path) as second:
        first.write("first" * 10_000)
        second.write("second" * 10_000)
    assert path.read_text() in ("first" * 10_000, "second" * 10_000)
    assert names_in(tmp_path) == ["talk.srt"]


def test_half_a_character_becomes_a_question_mark(tmp_path: Path) -> None:
    path = tmp_path / "talk.txt"
    with replacement(path) as file:
        file.write("a\ud800b\n")
    assert path.read_bytes() == b"a?b\n"


def test_a_folder_that_is_not_there_is_an_error_before_the_block(tmp_path: Path) -> None:
    reached = []
    with pytest.raises(FileNotFoundError), replacement(tmp_path / "none" / "talk.txt"):
        reached.append(True)
    assert not reached


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    with replacement(link) as file:
        file.write("new")
    assert target.read_text() == "old"
    assert not link.is_symlink()


@pytest.mark.parametrize(
    ("mode", "expected"), [(0o700, False), (0o755, False), (0o775, True), (0o1777, True)]
)
def test_a_folder_is_shared_if_others_can_write_to_it(
    tmp_path: Path, mode: int, expected: bool
) -> None:
    tmp_path.chmod(mode)
    assert is_shared(tmp_path) is expected


def test_a_folder_of_another_user_is_shared_and_one_of_root_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: tmp_path.stat().st_uid + 1)
    assert is_shared(tmp_path) is (tmp_path.stat().st_uid != 0)
    assert not is_shared(Path("/"))


def test_own_links_are_followed_up_to_one_that_may_be_planted(tmp_path: Path) -> None:
    shared, target = tmp_path / "shared", tmp_path / "target"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "planted").symlink_to(target)
    (tmp_path / "second").symlink_to("shared/planted")
    (tmp_path / "first").symlink_to("second")
    assert followed(tmp_path / "first") == shared / "planted"
    assert is_planted(shared / "planted")
    assert not is_planted(tmp_path / "first")
    shared.chmod(0o755)
    assert followed(tmp_path / "first") == target


def test_a_link_to_itself_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match=r".") as raised:
        followed(tmp_path / "loop")
    assert raised.value.errno == errno.ELOOP
