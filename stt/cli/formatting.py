"""Format times, counts and texts of other programs."""

import json
import time
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from typing import Any

from stt.domain.visible_text import is_visible, visible


def span(seconds: float) -> str:
    """Format a duration: `45s`, `12m`, `3h 05m`, `2d 4h`."""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    if minutes == 0:
        return f"{rest}s"
    if minutes < 60:
        return f"{minutes}m {rest:02}s" if minutes < 10 else f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02}m" if hours < 24 else f"{hours // 24}d {hours % 24}h"


def clock(seconds: float) -> str:
    """Format a time in a recording: `1:02:03`, or `2:03` in the first hour."""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def local_time(timestamp: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(timestamp))


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def printable(text: str) -> str:
    """Replace what could move the cursor or disguise a name by spaces; see `visible`."""
    return "".join(c if c.isprintable() else " " for c in visible(text.rstrip(), " "))


def json_text(value: Any, indent: int | None = None) -> str:
    """Return JSON with letters unescaped, and characters escaped that do not show."""
    text = json.dumps(value, default=_jsonable, indent=indent, ensure_ascii=False)
    return "".join(c if _shows(c) or c == "\n" else json.dumps(c)[1:-1] for c in text)


def _shows(character: str) -> bool:
    return character.isprintable() and (character.isascii() or is_visible(character))


def _jsonable(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
