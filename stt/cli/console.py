"""Print log lines, progress bars and results. Only this module and `tables` import rich.

On a terminal a live bar is drawn below the log lines; both use one console, so that they do not
overwrite each other. Elsewhere each event is one plain line, and nothing is drawn.
"""

import contextlib
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal, NoReturn

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
"""What `show` can print."""
Drawing = AbstractContextManager[object]

_MAX_BAR_WIDTH = 20
_MIN_BAR_WIDTH = 5
_ECHO_WIDTH = 8  # for the echo of some `^C`; a line that wraps cannot be overwritten
_MAX_NAME_WIDTH = 40
_SERIOUS = ("Error: ", "Warning: ")
_RATE_WINDOW_SECONDS = 60.0
_LEAST_RATE_SECONDS = 1.0  # a rate over less says nothing


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a run; `total` is None while it is unknown.

    `is_ending`: nothing more is begun, and the run ends with the chunks in flight.
    """

    done: int
    total: int | None
    errors: int = 0
    in_flight: int = 0
    is_ending: bool = False


class _Screen:
    """Where log lines and bars are printed; `setup_logging` sets it."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self.may_draw = False
        self.is_quiet = False

    @property
    def is_live(self) -> bool:
        """Whether bars can be drawn; not in a pipe, even with FORCE_COLOR."""
        return self.may_draw and self.console.file.isatty() and not self.console.is_dumb_terminal


_screen = _Screen()


def discard_output(stream: IO[str]) -> None:
    """Discard what is written to `stream` from now on, so that its flush at exit cannot fail."""
    with contextlib.suppress(OSError, ValueError), Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def setup_logging(
    log_format: LogFormat, *, to_stderr: bool = False, quiet: bool = False, verbose: bool = False
) -> None:
    """Print the package's log records to stdout, or to stderr if stdout has a result.

    "auto" draws bars on a terminal, "text" never does, "json" prints one object per line. `quiet`:
    print warnings and errors only, and draw nothing; `verbose`: print debug records too.
    """
    _screen.is_quiet = quiet
    _screen.console = Console(stderr=to_stderr, highlight=False)
    _screen.may_draw = log_format == "auto" and not quiet
    handler = _LineHandler()
    text = TextFormatter(on_terminal=_screen.console.file.isatty())
    handler.setFormatter(JsonFormatter() if log_format == "json" else text)
    handler.addFilter(add_log_fields)
    logger = logging.getLogger("stt")
    logger.setLevel(logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO)
    logger.handlers = [h for h in logger.handlers if not isinstance(h, _LineHandler)] + [handler]


class _LineHandler(logging.Handler):
    """Print one line per record; go on if the reader has gone (`stt | head`)."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
            if _screen.console.file.isatty():
                _screen.console.print(Text(line), soft_wrap=True)
            else:
                _screen.console.file.write(line + "\n")
                _screen.console.file.flush()
        except (OSError, ValueError, SystemExit):  # rich raises SystemExit for a broken pipe
            _screen.may_draw = False
            discard_output(_screen.console.file)
        except Exception:
            self.handleError(record)


def live_progress(snapshot: Callable[[], Progress]) -> Drawing:
    """Draw `snapshot()` four times a second, from a thread of its own, inside the `with` block.

    Draw nothing without a terminal. `snapshot` must not block.
    """
    return _drawn(_WorkBar(snapshot).render)


def _drawn(render: Callable[[], Screen], *, transient: bool = False) -> Drawing:
    if not _screen.is_live:
        return contextlib.nullcontext()
    return Live(console=_screen.console, get_renderable=render, transient=transient)


class _WorkBar:
    """A bar such as `━━━━━  12/40 chunks · 31.2/min · about 1m left · 4 in flight · 1 error`."""

    def __init__(self, snapshot: Callable[[], Progress]) -> None:
        self._snapshot = snapshot
        self._began = time.monotonic()
        self._samples: deque[tuple[float, int]] = deque([(self._began, 0)])

    def render(self) -> RenderableType:
        now, progress = time.monotonic(), self._snapshot()
        if progress.is_ending and progress.done != progress.total:  # other workers did the rest
            progress = replace(progress, total=None)
        self._samples.append((now, progress.done))
        while len(self._samples) > 2 and now - self._samples[1][0] > _RATE_WINDOW_SECONDS:
            self._samples.popleft()
        since, done_then = self._samples[0]
        per_minute = None
        if now - since >= _LEAST_RATE_SECONDS:
            per_minute = (progress.done - done_then) * 60 / (now - since)
        end = progress.done + progress.in_flight if progress.is_ending else progress.total
        return _bar_line(progress.done, end, self._facts(progress, per_minute, now))

    def _facts(self, progress: Progress, per_minute: float | None, now: float) -> list[str | Text]:
        total = "" if progress.total is None else f"/{progress.total}"
        facts: list[str | Text] = [f"{progress.done}{total} chunks"]
        if progress.done and per_minute is not None:
            facts.append(f"{per_minute:.1f}/min")
        left = (progress.total or 0) - progress.done
        if left > 0 and per_minute:
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
    """Draw a bar for one recording; yield the function that takes its seconds done and in all."""
    done: float = 0.0
    total: float | None = None

    def advance(done_seconds: float, total_seconds: float | None) -> None:
        nonlocal done, total
        done, total = done_seconds, total_seconds

    def render() -> Screen:
        shown = clock(done) + (f" of {clock(total)}" if total else "")
        title = Text(printable(name))
        title.truncate(_MAX_NAME_WIDTH, overflow="ellipsis")
        return _bar_line(done, total, [title, shown])

    with _drawn(render, transient=True):
        yield advance


def _bar_line(done: float, total: float | None, facts: Iterable[str | Text]) -> RenderableType:
    """Return a line that fits the terminal; drop facts after the first until it does."""
    width_left = _screen.console.width - _ECHO_WIDTH
    shown = [Text(fact) if isinstance(fact, str) else fact for fact in facts]
    while (words := Text(" · ").join(shown)).cell_len > width_left and len(shown) > 2:
        del shown[1]
    words.truncate(max(width_left, 1), overflow="ellipsis")
    width = min(_MAX_BAR_WIDTH, width_left - words.cell_len - 2)
    if total == 0 or width < _MIN_BAR_WIDTH:
        return words
    line = Table.grid(padding=(0, 2))
    line.add_column(width=width, no_wrap=True)
    line.add_column(no_wrap=True, overflow="ellipsis")
    line.add_row(ProgressBar(total=total or None, completed=done, width=width), words)
    return line


def print_line(line: str) -> None:
    """Print a line of a result to stdout."""
    Console(highlight=False).print(Text(printable(line)), soft_wrap=True)


def print_note(line: str) -> None:
    """Print a line about the result to stderr; if quiet, only errors and warnings."""
    if _screen.is_quiet and not line.startswith(_SERIOUS):
        return
    Console(stderr=True, highlight=False).print(Text(printable(line)), soft_wrap=True)


def stop(*_: object) -> NoReturn:
    """Handle SIGTERM and SIGHUP like Ctrl-C, so that what was started is stopped."""
    print_note("Stopping.")
    raise KeyboardInterrupt


def show(renderable: Screen) -> None:
    """Print a table to stdout; fit it to a terminal, but neither cut nor pad it in a pipe."""
    console = Console(highlight=False)
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
    """Print what `make()` returns again and again in the same place, until Ctrl-C."""
    console = Console(highlight=False)
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
    """Print dataclasses as JSON to stdout, with ids as text and times as ISO 8601 in UTC."""
    indent = None if on_one_line else 2
    sys.stdout.write(json_text(value, indent) + "\n")
    sys.stdout.flush()
