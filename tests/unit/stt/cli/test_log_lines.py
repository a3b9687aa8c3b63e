"""Log lines: text with a time, or JSON with fields."""

import io
import json
import logging
import re
import time
from datetime import datetime

import pytest
from bson import ObjectId

from stt.cli.console import setup_logging
from stt.system.log_context import PLAIN, log_fields
from tests.support.terminal import Terminal


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
