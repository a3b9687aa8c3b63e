"""Files that are still being written are left alone, by a clock that the test sets."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stt.media import settling
from stt.media.settling import Settling

NOW = 1_700_000_000.0


class Clock:
    """The time of this machine; `during` is called in each sleep, as long as there is one."""

    def __init__(self) -> None:
        self.slept = 0.0
        self.during: list[Callable[[], object]] = []

    def monotonic(self) -> float:
        return self.slept

    def time(self) -> float:
        return NOW + self.slept

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        if self.during:
            self.during.pop(0)()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(settling, "time", clock)
    return clock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "talk.mp3"
    path.write_bytes(b"half")
    return path


def changed(path: Path, seconds_ago: float, data: bytes = b"half") -> None:
    path.write_bytes(data)
    os.utime(path, (NOW - seconds_ago,) * 2)


def test_a_file_of_long_ago_is_at_rest_at_once(path: Path, clock: Clock) -> None:
    changed(path, 5.0)
    assert Settling(5.0).wait(path)
    assert clock.slept == 0


def test_a_young_file_is_waited_for_only_so_long(path: Path, clock: Clock) -> None:
    changed(path, 2.0)
    assert Settling(5.0).wait(path)
    assert clock.slept == pytest.approx(3.0)


def test_nothing_is_waited_for_if_that_is_switched_off(path: Path, clock: Clock) -> None:
    changed(path, -100.0)
    assert Settling(0.0).wait(path)
    assert clock.slept == 0


def test_a_file_that_grows_is_not_at_rest_and_is_once_it_has_stopped(
    path: Path, clock: Clock
) -> None:
    settling = Settling(5.0)
    changed(path, 1.0)
    clock.during = [lambda: changed(path, -clock.slept, b"half and more")]
    assert not settling.wait(path)
    assert settling.wait(path)
    assert clock.slept == pytest.approx(9.0)


def test_a_file_that_has_grown_since_the_first_look_is_known_without_waiting(
    path: Path, clock: Clock
) -> None:
    settling = Settling(5.0)
    changed(path, 1.0)
    assert settling.seconds_left(path) == pytest.approx(4.0)
    changed(path, 0.5, b"half and more")
    assert not settling.wait(path)
    assert clock.slept == 0


@pytest.mark.parametrize("ahead_seconds", [1.0, 3_600.0, 10**9])
def test_a_clock_that_is_ahead_holds_nothing_up_for_longer(
    path: Path, clock: Clock, ahead_seconds: float
) -> None:
    changed(path, -ahead_seconds)
    assert Settling(5.0).wait(path)
    assert clock.slept <= 5.0


def test_a_file_that_is_gone_is_left_to_its_reader(tmp_path: Path, clock: Clock) -> None:
    assert Settling(5.0).wait(tmp_path / "nothing.mp3")
    assert clock.slept == 0
