"""A file is replaced whole or stays as it was."""

from pathlib import Path

import pytest

from stt.system.files import replacement


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
