"""Format log records as text lines or as JSON objects."""

import logging
from datetime import UTC, datetime
from typing import Any

from stt.cli.formatting import json_text, local_time, printable
from stt.cli.standard_input import shown

RESULT = {"is_result": True}
"""`extra` of lines that are a command's result: they are written without their time."""
_OWN_FIELDS = {"message", "asctime", "is_plain", "is_result"}
_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | _OWN_FIELDS


class TextFormatter(logging.Formatter):
    """Write the time and the message; `PLAIN` lines have no time on a terminal."""

    def __init__(self, *, on_terminal: bool) -> None:
        super().__init__()
        self._untimed = {"is_result", "is_plain"} if on_terminal else {"is_result"}

    def format(self, record: logging.LogRecord) -> str:
        text = printable(shown(record.getMessage()))
        if record.levelno >= logging.WARNING:
            text = f"{record.levelname.capitalize()}: {text}"
        if not self._untimed & vars(record).keys():
            text = f"{local_time(record.created)}  {text}"
        if record.exc_info:
            lines = self.formatException(record.exc_info).splitlines()
            text = "\n".join([text, *map(printable, lines)])
        return text


class JsonFormatter(logging.Formatter):
    """Write time, level, logger, message and every extra field of the record."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": shown(record.getMessage()),
        }
        line |= {k: v for k, v in vars(record).items() if k not in _STANDARD_FIELDS}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json_text(line)
