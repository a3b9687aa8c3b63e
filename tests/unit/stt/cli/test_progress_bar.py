"""The line of a run: what it says in whatever room it has."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from stt.cli.progress_bar import FilesBar, SpeedMeter, WorkBar, percent, real_time
from stt.domain.progress import Progress

HALF_DONE = Progress(
    4, 10, errors=1, in_flight=6, done_seconds=118.0, total_seconds=268.0, elsewhere=2
)


def line(
    monkeypatch: pytest.MonkeyPatch, width: int, *moments: Progress, seconds: float = 10.0
) -> str:
    """The line at the last of these moments, so many seconds apart from each other."""
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    given = iter(moments)
    bar, shown = WorkBar(lambda: next(given)), None
    for _ in moments:
        now += seconds
        shown = bar.render(width)
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as capture:
        console.print(shown)
    return capture.get().rstrip("\n")


def test_a_wide_terminal_has_room_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = line(monkeypatch, 160, HALF_DONE)
    assert shown.endswith(
        "44 % · 4/10 chunks · 1:58 of 4:28 · 12 × real time · about 13s left"
        " · 1 error · 6 in flight · 2 by other workers"
    )
    assert "━━━━━" in shown


@pytest.mark.parametrize("width", [60, 80])
def test_total_percent_audio_speed_and_time_left_fit_small_terminals(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    shown = line(monkeypatch, width, HALF_DONE)
    assert "44 % · 4/10 chunks · 1:58 of 4:28 · 12" in shown
    assert "13s left" in shown
    assert len(shown) <= width - 8


def test_what_does_not_fit_goes_and_the_percent_and_the_time_left_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert line(monkeypatch, 24, HALF_DONE) == "44 % · 13s left"


def test_nothing_is_finished_yet_and_the_total_is_said_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = Progress(0, 10, in_flight=10, total_seconds=268.0)
    assert "0 % · 0/10 chunks · 0:00 of 4:28 · 10 in flight" in line(monkeypatch, 80, begun)


def test_audio_decides_the_percent_and_only_all_is_100() -> None:
    assert percent(Progress(1, 2, done_seconds=30, total_seconds=40)) == 75
    assert percent(Progress(999, 1000, done_seconds=9999, total_seconds=10000)) == 99
    assert percent(Progress(9, 10, done_seconds=40, total_seconds=40)) == 99
    assert percent(Progress(10, 10, done_seconds=39, total_seconds=40)) == 100
    assert percent(Progress(1, 4)) == 25
    assert (percent(Progress(1, None)), percent(Progress(0, 0))) == (0, 0)


def test_what_calls_in_flight_have_probably_done_moves_the_bar_and_never_makes_it_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = Progress(0, 1, in_flight=1, total_seconds=240.0, expected_seconds=60.0)
    shown = line(monkeypatch, 80, begun)
    assert shown.startswith("━━━━━")
    assert "25 % · 0/1 chunks · 1:00 of 4:00" in shown
    assert percent(replace(begun, expected_seconds=240.0)) == 99
    assert percent(replace(begun, total_seconds=None)) == 0


def test_what_is_waited_for_stands_in_the_place_of_a_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = Progress(4, 10, done_seconds=9, total_seconds=60, waits_for="http://gpu is away")
    shown = line(monkeypatch, 80, waiting)
    assert shown.endswith("15 % · 4/10 chunks · 0:09 of 1:00 · waits: http://gpu is away")


def test_the_speed_is_that_of_the_last_minute_and_of_a_progress_that_began_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    meter = SpeedMeter()
    for now in range(1, 201):
        fast = max(0, now - 100)
        speed = meter.measure(now, now * 2.0 + fast * 8.0)
    assert speed.audio_seconds == pytest.approx(10.0)
    assert speed.chunks == pytest.approx(1.0)
    now += 2
    meter.measure(0, 0.0)
    now += 2
    assert meter.measure(4, 12.0).audio_seconds == pytest.approx(6.0)


def test_the_time_left_runs_down_until_the_next_chunk_is_finished_or_overdue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, half = Progress(0, 10, total_seconds=100), Progress(5, 10, 0, 5, False, 50, 100)

    def left(*moments: Progress, seconds: float) -> str:
        return line(monkeypatch, 100, *moments, seconds=seconds).split(" · ")[4]

    assert left(*[begun] * 9, half, seconds=2.0) == "about 20s left"
    assert left(*[begun] * 9, half, half, seconds=2.0) == "about 18s left"
    assert left(*[begun] * 9, *[half] * 4, seconds=2.0) == "about 14s left"
    assert left(*[begun] * 9, *[half] * 11, seconds=2.0) == "about 40s left"


def test_slow_machines_see_a_digit_more() -> None:
    assert (real_time(0.42), real_time(23.4)) == ("0.4 × real time", "23 × real time")


def files_line(monkeypatch: pytest.MonkeyPatch, width: int, name: str = "talk.mp3") -> str:
    """The line ten seconds after the start, in the middle of the second of three files."""
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    bar = FilesBar([100, 200, 100])
    bar.begin(0, "first.mp3")
    bar.advance(60.0, 60.0)
    bar.begin(1, name)
    bar.advance(60.0, 120.0)
    now = 10.0
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as capture:
        console.print(bar.render(width))
    return capture.get().rstrip("\n")


def test_files_have_one_percent_together_and_the_time_that_is_left_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = "50 % · talk.mp3 · 2/3 files · 1:00 of 2:00 · 12 × real time · about 10s left"
    assert files_line(monkeypatch, 120).endswith(line)


@pytest.mark.parametrize("width", [60, 80])
def test_a_name_of_a_file_leaves_room_for_the_rest(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    shown = files_line(monkeypatch, width, "interview " * 24)
    assert shown.lstrip("━╸╺ ").startswith("50 % · interview inter… · ")
    assert "1:00 of 2:00" in shown
    assert shown.endswith("10s left")
    assert len(shown) <= width - 8


def test_a_file_that_does_not_say_its_length_shows_what_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bar = FilesBar()
    bar.begin(0, "stream.ogg")
    bar.advance(75.0, None)
    console = Console(file=io.StringIO(), width=80, color_system=None)
    with console.capture() as capture:
        console.print(bar.render(80))
    assert capture.get().rstrip().endswith("stream.ogg · 1:15")
