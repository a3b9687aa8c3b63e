"""What people and programs read: log lines, tables, times."""

import logging
import re
import time

import pytest

from stt.cli import console as render
from stt.cli import progress_bar
from stt.cli.console import live_progress, recording_progress, setup_logging
from stt.domain.progress import Progress
from stt.system.log_context import PLAIN
from stt.system.waiting import waiting
from tests.support.terminal import Terminal


def on_terminal(monkeypatch: pytest.MonkeyPatch, terminal: Terminal, columns: int) -> None:
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    setup_logging("auto")


def drawn(monkeypatch: pytest.MonkeyPatch, columns: int, progress: Progress) -> str:
    """The last line that a run at this point shows."""
    terminal = Terminal()
    on_terminal(monkeypatch, terminal, columns)
    with live_progress(lambda: progress):
        pass
    plain = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "\r", terminal.getvalue())
    return plain.strip().splitlines()[-1]


class TestLiveProgress:
    def test_nothing_is_drawn_where_there_is_no_terminal(
        self, log: logging.Logger, capsys: pytest.CaptureFixture[str]
    ) -> None:
        setup_logging("auto")
        with live_progress(lambda: Progress(1, 2)), recording_progress("talk.mp3") as advance:
            advance(1.0, 2.0)
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize("log_format", ["text", "json"])
    def test_nothing_is_drawn_when_plain_lines_are_asked_for(
        self, log: logging.Logger, monkeypatch: pytest.MonkeyPatch, log_format: render.LogFormat
    ) -> None:
        terminal = Terminal()
        monkeypatch.setattr("sys.stdout", terminal)
        setup_logging(log_format)
        with live_progress(lambda: Progress(1, 2)):
            pass
        assert terminal.getvalue() == ""

    def test_a_terminal_shows_counts_errors_and_the_log_above_them(
        self, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        terminal = Terminal()
        monkeypatch.setattr("sys.stdout", terminal)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "120")
        monkeypatch.setattr(progress_bar, "_LEAST_RATE_SECONDS", 1e-6)
        setup_logging("auto")
        with live_progress(
            lambda: Progress(
                3, 12, errors=2, in_flight=4, done_seconds=95, total_seconds=360, elsewhere=1
            )
        ):
            log.info("Worker ID: box_1", extra=PLAIN)
        shown = terminal.getvalue()
        assert "Worker ID: box_1\n" in shown
        for words in ("26 %", "3/12 chunks", "1:35 of 6:00", "× ", "left", "2 errors"):
            assert words in shown

    @pytest.mark.parametrize("columns", [20, 40, 80, 200])
    def test_the_line_leaves_room_for_what_the_terminal_echoes(
        self, log: logging.Logger, monkeypatch: pytest.MonkeyPatch, columns: int
    ) -> None:
        line = drawn(monkeypatch, columns, Progress(1234, 12345, errors=12, in_flight=12))
        assert len(line) <= columns - 8
        assert line.count("━") + line.count("╺") + line.count("╸") <= 20
        assert "1234/12345 c" in line or columns < 40

    def test_no_rate_is_shown_before_it_is_known(
        self, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(progress_bar, "_LEAST_RATE_SECONDS", 600.0)
        line = drawn(monkeypatch, 80, Progress(49, 130, in_flight=2))
        assert line.endswith("49/130 chunks · 2 in flight")

    def test_who_has_nothing_more_to_begin_promises_no_time(
        self, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        line = drawn(monkeypatch, 80, Progress(49, 130, in_flight=2, is_ending=True))
        assert "49/130 chunks" in line
        assert "left" not in line
        assert "2 in flight" in line

    def test_who_has_done_all_says_of_how_many(
        self, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert "12/12 chunks" in drawn(monkeypatch, 80, Progress(12, 12, is_ending=True))

    def test_a_long_name_leaves_room_for_how_far_it_is(
        self, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        terminal = Terminal()
        on_terminal(monkeypatch, terminal, 80)
        with recording_progress("interview " * 20) as advance:
            advance(60.0, 3600.0)
            time.sleep(0.3)
        assert "1:00 of 1:00:00" in terminal.getvalue()


@pytest.mark.parametrize("hides_worker", [False, True])
def test_the_lines_of_a_worker_may_be_left_out(
    log: logging.Logger, capsys: pytest.CaptureFixture[str], hides_worker: bool
) -> None:
    setup_logging("text", hides_worker=hides_worker)
    log.info("Worker ID: box_1", extra=PLAIN)
    log.info("Starting a whisper server")
    out = capsys.readouterr().out
    assert ("Worker ID: box_1" in out) is not hides_worker
    assert "Starting a whisper server" in out


def test_what_is_waited_for_is_drawn_on_a_terminal_and_logged_elsewhere(
    log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup_logging("text")
    with waiting(lambda: "fetching base: 61 of 145 MB (42 %)") as is_shown:
        assert not is_shown
    terminal = Terminal()
    on_terminal(monkeypatch, terminal, 80)
    with waiting(lambda: "fetching base: 61 of 145 MB (42 %)") as is_shown:
        assert is_shown
    assert "Whisper server · 0s · fetching base: 61 of 145 MB (42 %)" in terminal.getvalue()
    with live_progress(lambda: Progress(waits_for="x")), waiting(lambda: "y") as is_shown:
        assert is_shown  # the bar says it
