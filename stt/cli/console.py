"""The terminal: log lines, progress bars, results. Only this module and `tables` import rich.

On a terminal a live bar stands below the log lines, and both go through one console so that they
never tear each other. Everywhere else an event is one plain line and nothing else is drawn.
"""

import contextlib
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stt.cli.formatting import clock, json_text, plural, printable, span
from stt.cli.log_lines import JsonFormatter, TextFormatter
from stt.system.log_context import add_log_fields

LogFormat = Literal["auto", "text", "json"]
Screen = RenderableType
"""Something that `show` can print."""

_WIDEST_BAR = 20
_NARROWEST_BAR = 5
_ECHO_ROOM = 8  # for some `^C`: a line that wraps leaves copies of itself behind
_MAX_NAME = 40
_RATE_WINDOW_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; `total` is None while nobody has counted.

    `is_ending`: there is nothing more to begin, so the run ends with what is in flight.
    """

    done: int
    total: int | None
    errors: int = 0
    in_flight: int = 0
    is_ending: bool = False


class _Screen:
    """Where log lines and bars go; a command decides once, in `setup_logging`."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self.may_draw = False

    @property
    def is_live(self) -> bool:
        """True if a bar may be drawn. FORCE_COLOR in a pipe draws none."""
        return self.may_draw and self.console.file.isatty() and not self.console.is_dumb_terminal

    def abandon(self) -> None:
        """Nobody reads any more: what is left in buffers must not fail when the program ends."""
        self.may_draw = False
        with contextlib.suppress(OSError, ValueError), Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), self.console.file.fileno())


_screen = _Screen()


def setup_logging(log_format: LogFormat, *, to_stderr: bool = False) -> None:
    """Sends the package's log to stdout, or to stderr where stdout carries a result.

    "auto" draws bars on a terminal; "text" never does; "json" writes one object a line.
    """
    _screen.console = Console(stderr=to_stderr, highlight=False)
    _screen.may_draw = log_format == "auto"
    handler = _LineHandler()
    on_terminal = _screen.console.file.isatty()
    handler.setFormatter(
        JsonFormatter() if log_format == "json" else TextFormatter(on_terminal=on_terminal)
    )
    handler.addFilter(add_log_fields)
    log = logging.getLogger("stt")
    log.setLevel(logging.INFO)
    for old in [h for h in log.handlers if isinstance(h, _LineHandler)]:
        log.removeHandler(old)
    log.addHandler(handler)


class _LineHandler(logging.Handler):
    """One line an event. A reader that went away (`stt | head`) must not stop the work."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
            if _screen.console.file.isatty():
                _screen.console.print(Text(line), soft_wrap=True)
            else:
                _screen.console.file.write(line + "\n")
                _screen.console.file.flush()
        except (OSError, ValueError, SystemExit):  # SystemExit is how rich says broken pipe
            _screen.abandon()
        except Exception:
            self.handleError(record)


@contextmanager
def live_progress(snapshot: Callable[[], Progress]) -> Iterator[None]:
    """Draws `snapshot()` four times a second, from a thread of its own, while this is entered.

    Draws nothing where there is no terminal. `snapshot` must not block.
    """
    if not _screen.is_live:
        yield
        return
    bar = _WorkBar(snapshot)
    with Live(get_renderable=bar.render, console=_screen.console, refresh_per_second=4):
        yield


class _WorkBar:
    """`━━━━━  12/40 chunks · 31.2/min · about 1m left · 4 in flight · 1 error`"""

    def __init__(self, snapshot: Callable[[], Progress]) -> None:
        self._snapshot = snapshot
        self._began = time.monotonic()
        self._samples: deque[tuple[float, int]] = deque([(self._began, 0)])

    def render(self) -> RenderableType:
        now, progress = time.monotonic(), self._snapshot()
        if progress.is_ending and progress.done != progress.total:  # others have done the rest
            progress = replace(progress, total=None)
        self._samples.append((now, progress.done))
        while len(self._samples) > 2 and now - self._samples[1][0] > _RATE_WINDOW_SECONDS:
            self._samples.popleft()
        since, done_then = self._samples[0]
        per_minute = (progress.done - done_then) * 60 / max(now - since, 0.001)
        end = progress.done + progress.in_flight if progress.is_ending else progress.total
        return _bar_line(progress.done, end, self._facts(progress, per_minute, now))

    def _facts(self, progress: Progress, per_minute: float, now: float) -> list[str | Text]:
        total = "" if progress.total is None else f"/{progress.total}"
        facts: list[str | Text] = [f"{progress.done}{total} chunks"]
        if progress.done:
            facts.append(f"{per_minute:.1f}/min")
        left = (progress.total or 0) - progress.done
        if left > 0 and per_minute > 0:
            facts.append(f"about {span(left * 60 / per_minute)} left")
        elif left <= 0 and not progress.in_flight:
            facts.append(span(now - self._began))
        if progress.in_flight:
            facts.append(f"{progress.in_flight} in flight")
        if progress.errors:
            facts.append(Text(plural(progress.errors, "error"), style="red"))
        return facts


@contextmanager
def recording_progress(name: str) -> Iterator[Callable[[float, float | None], None]]:
    """A bar for one recording; gives the function to call with seconds done and in all."""
    if not _screen.is_live:
        yield lambda done, total: None
        return
    state: list[float | None] = [0.0, None]

    def advance(done_seconds: float, total_seconds: float | None) -> None:
        state[:] = [done_seconds, total_seconds]

    def render() -> RenderableType:
        done, total = state
        shown = clock(done or 0.0) + (f" of {clock(total)}" if total else "")
        title = Text(printable(name))
        title.truncate(_MAX_NAME, overflow="ellipsis")
        return _bar_line(done or 0.0, total, [title, shown])

    with Live(get_renderable=render, console=_screen.console, refresh_per_second=4, transient=True):
        yield advance


def _bar_line(done: float, total: float | None, facts: Iterable[str | Text]) -> RenderableType:
    """One line that leaves room at its end. Of facts too many the second ones go first."""
    room = _screen.console.width - _ECHO_ROOM
    shown = [Text(fact) if isinstance(fact, str) else fact for fact in facts]
    while (words := Text(" · ").join(shown)).cell_len > room and len(shown) > 2:
        del shown[1]
    words.truncate(max(room, 1), overflow="ellipsis")
    width = min(_WIDEST_BAR, room - words.cell_len - 2)
    if total == 0 or width < _NARROWEST_BAR:
        return words
    line = Table.grid(padding=(0, 2))
    line.add_column(width=width, no_wrap=True)
    line.add_column(no_wrap=True, overflow="ellipsis")
    line.add_row(ProgressBar(total=total or None, completed=done, width=width), words)
    return line


def print_line(line: str) -> None:
    """A result for stdout."""
    _stdout().print(Text(printable(line)), soft_wrap=True)


def print_note(line: str) -> None:
    """Something to know, beside the result: on stderr."""
    Console(stderr=True, highlight=False).print(Text(printable(line)), soft_wrap=True)


def show(renderable: Screen) -> None:
    """Prints a table to stdout: fitted to a terminal, never cut off or padded in a pipe."""
    console = _stdout()
    if console.file.isatty():
        console.print(renderable)
        return
    wide = Console(highlight=False, width=1_000, color_system=None)
    with wide.capture() as capture:
        wide.print(renderable)
    for line in capture.get().splitlines():
        console.file.write(line.rstrip() + "\n")
    console.file.flush()


def show_again(make: Callable[[], Screen], interval_seconds: float) -> None:
    """Prints what `make()` gives, again and again in one place, until Ctrl-C."""
    console = _stdout()
    if not console.file.isatty():
        while True:
            show(make())
            show("")
            time.sleep(interval_seconds)
    with Live(make(), console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            time.sleep(interval_seconds)
            live.update(make(), refresh=True)


def show_json(value: object, *, on_one_line: bool = False) -> None:
    """Dataclasses and what they hold as JSON on stdout; ids as text, times as ISO 8601 in UTC."""
    indent = None if on_one_line else 2
    sys.stdout.write(json_text(value, indent) + "\n")
    sys.stdout.flush()


def _stdout() -> Console:
    return Console(highlight=False)
