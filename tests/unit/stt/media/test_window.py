"""A part of a file behaves like a file of its own."""

import io

import pytest

from stt.media.window import FileWindow


@pytest.fixture
def file() -> io.BytesIO:
    return io.BytesIO(b"0123456789")


def test_the_whole_file_is_the_default(file: io.BytesIO) -> None:
    window = FileWindow(file)
    assert window.size == 10
    assert window.read(100) == b"0123456789"
    assert window.read(1) == b""


def test_a_part_begins_at_zero_and_ends_at_its_end(file: io.BytesIO) -> None:
    window = FileWindow(file, 2, 8).part(1, 4)
    assert window.size == 3
    assert (window.read(2), window.tell(), window.read(9)) == (b"34", 2, b"5")


def test_positions_are_those_of_a_file(file: io.BytesIO) -> None:
    window = FileWindow(file, 2, 8)
    assert window.seek(-2, io.SEEK_END) == 4
    assert window.seek(-1, io.SEEK_CUR) == 3
    assert window.read(2) == b"56"
    assert window.seek(50) == 50
    assert window.read(1) == b""


def test_a_position_before_the_start_is_an_error_as_ffmpeg_wants_it(file: io.BytesIO) -> None:
    window = FileWindow(file, 2)
    window.seek(3)
    assert window.seek(-9, io.SEEK_CUR) == -1
    assert window.tell() == 3


def test_two_windows_may_share_a_file(file: io.BytesIO) -> None:
    one, other = FileWindow(file), FileWindow(file, 5)
    assert (one.read(2), other.read(2), one.read(2)) == (b"01", b"56", b"23")


@pytest.mark.parametrize(
    ("position", "count", "found"), [(0, 2, b"23"), (4, 9, b"67"), (-1, 2, b"2"), (9, 1, b"")]
)
def test_reading_beside_the_position_keeps_to_the_part(
    position: int, count: int, found: bytes, file: io.BytesIO
) -> None:
    window = FileWindow(file, 2, 8)
    assert window.read_at(position, count) == found
    assert window.tell() == 0
