"""The package's log as lines: plain ones that people grep for, or one JSON object an event.

A record marked `extra={"plain": True}` has no time before it; other extras become keys in JSON.
"""

import logging
from datetime import UTC, datetime
from typing import Any

from stt.cli.formatting import json_text, local_time, printable

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "plain"}


class TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = printable(record.getMessage())
        if record.levelno >= logging.WARNING:
            text = f"{record.levelname.capitalize()}: {text}"
        if not getattr(record, "plain", False):
            text = f"{local_time(record.created)}  {text}"
        if record.exc_info:
            lines = self.formatException(record.exc_info).splitlines()
            text = "\n".join([text, *map(printable, lines)])
        return text


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {k: v for k, v in vars(record).items() if k not in _STANDARD_FIELDS}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json_text(line)
