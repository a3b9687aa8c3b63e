"""What people and programs read: log lines, tables, times."""

import io
import json
import logging
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from bson import ObjectId
from rich.console import Console

from stt.cli import console as render
from stt.cli import tables
from stt.cli.console import Progress, live_progress, recording_progress, setup_logging
from stt.cli.formatting import clock, local_time, span
from stt.domain.claim import WorkerReport
from stt.store.status import FailedChunk, QueueStatus, Rate, RecordingProgress, StateCounts
from stt.store.workers import WorkerStatus
from stt.system.log_context import PLAIN, log_fields

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
IDLE = Rate(600.0, 0, 0.0, 0.0)
BUSY = Rate(600.0, 100, 10.0, 5.0)


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """The package's logger; the handler that the test has set up is taken away again."""
    package = logging.getLogger("stt")
    before = list(package.handlers), package.level
    yield logging.getLogger("stt.worker.worker")
    package.handlers, level = list(before[0]), before[1]
    package.setLevel(level)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestLogLines:
    def test_the_lines_that_people_grep_for_keep_their_form_behind_their_time(
        self, log: logging.Logger, capsys: pytest.CaptureFixture[str]
    ) -> None:
        setup_logging("auto")
        log.info("Worker ID: %s", "box_1", extra=PLAIN)
        log.info("len 1 chunks  OriginalId %s  already claimed by another worker", "6903ce")
        lines = [line.partition("  ") for line in capsys.readouterr().out.splitlines()]
        assert [message for _, _, message in lines] == [
            "Worker ID: box_1",
            "len 1 chunks  OriginalId 6903ce  already claimed by another worker",
        ]
        for stamp, _, _ in lines:
            written_at = datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S").timestamp()  # noqa: DTZ007
            assert abs(written_at - time.time()) < 60

    def test_a_terminal_shows_them_without_their_time(
        self, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        terminal = Terminal()
        monkeypatch.setattr("sys.stdout", terminal)
        setup_logging("text")
        log.info("Worker ID: %s", "box_1", extra=PLAIN)
        log.info("Stopping: %s", "interrupted")
        first, second = terminal.getvalue().splitlines()
        assert first == "Worker ID: box_1"
        assert re.fullmatch(r"[-\d]{10} [:\d]{8}  Stopping: interrupted", second)

    def test_a_warning_says_that_it_is_one(
        self, log: logging.Logger, capsys: pytest.CaptureFixture[str]
    ) -> None:
        setup_logging("text")
        log.warning("chunk 7 failed")
        assert capsys.readouterr().out.rstrip().endswith("  Warning: chunk 7 failed")

    def test_a_message_from_elsewhere_stays_one_line_and_moves_no_cursor(
        self, log: logging.Logger, capsys: pytest.CaptureFixture[str]
    ) -> None:
        setup_logging("text")
        log.warning("server says: %s", "a\nb\x1b[2Jc [bold]d[/bold]")
        [line] = capsys.readouterr().out.splitlines()
        assert line.endswith("server says: a b [2Jc [bold]d[/bold]")

    def test_a_long_line_is_never_wrapped(
        self, log: logging.Logger, capsys: pytest.CaptureFixture[str]
    ) -> None:
        setup_logging("auto")
        log.info("word " * 200, extra=PLAIN)
        assert len(capsys.readouterr().out.splitlines()) == 1

    def test_json_has_one_object_a_line_with_the_extras_as_keys(
        self, log: logging.Logger, capsys: pytest.CaptureFixture[str]
    ) -> None:
        setup_logging("json")
        log.info("Worker ID: %s", "box\n1", extra=PLAIN | {"chunk": ObjectId("6" * 24)})
        [line] = capsys.readouterr().out.splitlines()
        found = json.loads(line)
        assert list(found) == ["time", "level", "logger", "message", "chunk"]
        assert (found["level"], found["message"]) == ("info", "Worker ID: box\n1")
        assert found["chunk"] == "6" * 24
        assert datetime.fromisoformat(found["time"]).tzinfo is not None

    def test_fields_of_a_thread_are_in_all_that_it_logs_meanwhile(
        self, log: logging.Logger, capsys: pytest.CaptureFixture[str]
    ) -> None:
        setup_logging("json")
        with log_fields(worker="box_1", chunk="a"):
            with log_fields(chunk="b"):
                log.warning("inner", extra={"server": "http://a"})
            log.warning("outer")
        log.warning("after")
        inner, outer, after = map(json.loads, capsys.readouterr().out.splitlines())
        assert (inner["worker"], inner["chunk"], inner["server"]) == ("box_1", "b", "http://a")
        assert (outer["worker"], outer["chunk"], "server" in outer) == ("box_1", "a", False)
        assert "worker" not in after

    def test_they_go_to_stderr_where_stdout_carries_a_result(
        self, log: logging.Logger, capsys: pytest.CaptureFixture[str]
    ) -> None:
        setup_logging("auto", to_stderr=True)
        log.info("working")
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "working" in captured.err

    def test_setting_up_twice_does_not_write_twice(
        self, log: logging.Logger, capsys: pytest.CaptureFixture[str]
    ) -> None:
        setup_logging("auto")
        setup_logging("auto")
        log.info("once")
        assert len(capsys.readouterr().out.splitlines()) == 1

    def test_a_reader_that_went_away_does_not_stop_the_work(
        self, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Gone(io.StringIO):
            def write(self, _: str) -> int:
                raise BrokenPipeError

        setup_logging("auto")
        monkeypatch.setattr("sys.stdout", Gone())
        log.info("nobody reads this")


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
        setup_logging("auto")
        with live_progress(lambda: Progress(done=3, total=12, errors=2, in_flight=4)):
            log.info("Worker ID: box_1", extra=PLAIN)
        shown = terminal.getvalue()
        assert "Worker ID: box_1\n" in shown
        for words in ("3/12 chunks", "/min", "left", "4 in flight", "2 errors"):
            assert words in shown

    @pytest.mark.parametrize("columns", [20, 40, 80, 200])
    def test_the_line_leaves_room_for_what_the_terminal_echoes(
        self, log: logging.Logger, monkeypatch: pytest.MonkeyPatch, columns: int
    ) -> None:
        line = drawn(monkeypatch, columns, Progress(1234, 12345, errors=12, in_flight=12))
        assert len(line) <= columns - 8
        assert line.count("━") + line.count("╺") + line.count("╸") <= 20
        assert "1234/12345 c" in line or columns < 40

    def test_who_has_nothing_more_to_begin_promises_no_time(
        self, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        line = drawn(monkeypatch, 80, Progress(49, 130, in_flight=2, is_ending=True))
        assert "49 chunks" in line
        assert "130" not in line
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
    return re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "\r", terminal.getvalue()).strip().rpartition("\r")[2]


def shown(status: QueueStatus, *members: WorkerStatus) -> str:
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        console.print(tables.status_screen(status, members, "stt at mongodb://db"))
    return capture.get()


def status(counts: StateCounts, **fields: object) -> QueueStatus:
    values: dict[str, object] = {
        "at": NOW, "counts": counts, "empty": 0, "resting": 0, "stale": 0, "rate": IDLE,
        "eta_seconds": None,
    }  # fmt: skip
    return QueueStatus(**(values | fields))  # type: ignore[arg-type]


ALIVE = WorkerStatus("box_1", WorkerReport("box", 1, "0", "http://g", "working", 4, (), {}), 3.0)


class TestStatusScreen:
    def test_an_empty_queue_says_what_to_do(self) -> None:
        assert "stt ingest" in shown(status(StateCounts()))

    def test_a_queue_without_workers_says_how_to_start_one(self) -> None:
        text = shown(status(StateCounts(pending=3)))
        assert "No worker is running. Start one with: stt" in text

    def test_a_busy_one_shows_speed_and_time_left(self) -> None:
        text = shown(status(StateCounts(pending=3), rate=BUSY, eta_seconds=5400.0), ALIVE)
        assert "1 worker running · 10.0 chunks/min · 5.0 s of audio per second" in text
        assert "about 1h 30m left" in text

    def test_a_done_one_says_so(self) -> None:
        assert "Nothing is left to do." in shown(status(StateCounts(transcribed=3)))

    def test_a_done_one_with_failures_says_that_too(self) -> None:
        text = shown(status(StateCounts(transcribed=3, failed=1)))
        assert "Nothing is left to do, but 1 chunk has failed." in text
        text = shown(status(StateCounts(failed=2)))
        assert "Nothing is left to do, but 2 chunks have failed." in text

    def test_chunks_at_rest_show_their_last_error_and_the_next_try(self) -> None:
        resting = FailedChunk(
            ObjectId("6" * 24), None, "talk.mp3", 7, 1, None, "server_fault", "500", "w",
            again_at=NOW,
        )  # fmt: skip
        text = shown(status(StateCounts(pending=3), resting=3, resting_chunks=(resting,)))
        assert "Waiting after a failure" in text
        assert f"no. 7 of talk.mp3, 1 try, again at {local_time(NOW.timestamp())}" in text
        assert "server_fault: 500" in text
        assert "… and 2 more" in text
        assert "stt retry" not in text

    def test_failures_show_their_error_and_the_way_out(self) -> None:
        failed = FailedChunk(
            ObjectId("6" * 24), None, "talk\x1b.mp3", 7, 3, NOW, "bad_audio", "no [audio]", "w",
            "http://gpu\x1b-box:8081",
        )  # fmt: skip
        text = shown(status(StateCounts(failed=2), failed_chunks=(failed,)))
        assert f"{'6' * 24}  no. 7 of talk .mp3, 3 tries" in text
        assert "bad_audio: no [audio] (http://gpu -box:8081)" in text
        assert "… and 1 more" in text
        assert "stt retry" in text

    def test_of_many_recordings_the_unfinished_come_first_and_the_rest_is_counted(self) -> None:
        done = [
            RecordingProgress(ObjectId(), f"done{n}.mp3", 60.0, False, StateCounts(transcribed=1))
            for n in range(30)
        ]
        half = RecordingProgress(ObjectId(), "half.mp3", 60.0, False, StateCounts(1, 0, 1, 0))
        text = shown(status(StateCounts(1, 0, 31, 0), sources=(half, *done)))
        assert text.index("half.mp3") < text.index("done29.mp3")
        assert "… and 11 more" in text
        assert "50 %" in text


def test_a_worker_that_fell_silent_is_shown_as_gone() -> None:
    silent = WorkerStatus("box_2", ALIVE.report, 4000.0)
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        console.print(tables.workers_table([ALIVE, silent]))
    _, alive, gone = capture.get().splitlines()
    assert "working" in alive
    assert "gone" in gone
    assert "1h 06m ago" in gone


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0s"),
        (45.4, "45s"),
        (60, "1m 00s"),
        (725, "12m"),
        (11_100, "3h 05m"),
        (187_200, "2d 4h"),
    ],
)
def test_spans_of_time_read_well(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (123.4, "2:03"), (3723, "1:02:03")])
def test_lengths_of_recordings_read_as_a_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text
