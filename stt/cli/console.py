"""Print log lines, progress bars and results.

On a terminal a live bar is drawn below the log lines; both use one console, so that they do not
overwrite each other. Elsewhere each event is one plain line, and nothing is drawn.
"""

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Literal, NoReturn

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from stt.cli.formatting import json_text, printable, span
from stt.cli.log_lines import JsonFormatter, TextFormatter
from stt.cli.progress_bar import Fact, FilesBar, WorkBar, bar_line
from stt.cli.standard_input import shown
from stt.domain.progress import Progress
from stt.system.log_context import add_log_fields
from stt.system.waiting import show_with

LogFormat = Literal["auto", "text", "json"]
Screen = RenderableType
"""What `show` can print."""
Drawing = AbstractContextManager[object]

_SERIOUS = ("Error: ", "Warning: ")


Render = Callable[[], RenderableType]
_WAITING, _READING, _WORKING = range(3)


class _Screen:
    """Where log lines and bars are printed; `setup_logging` sets it."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self.may_draw = False
        self.drawn: tuple[tuple[int, Render], ...] = ()
        """What is drawn, with ranks: that of the highest one is shown."""
        self.live: Live | None = None
        self.lock = threading.Lock()
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
    log_format: LogFormat,
    *,
    to_stderr: bool = False,
    quiet: bool = False,
    verbose: bool = False,
    hides_worker: bool = False,
) -> None:
    """Print the package's log records to stdout, or to stderr if stdout has a result.

    "auto" draws bars on a terminal, "text" never does, "json" prints one object per line. `quiet`:
    print warnings and errors only, and draw nothing; `verbose`: print debug records too.
    `hides_worker`: leave out the `PLAIN` lines of a worker, which is only a part of the command.
    """
    _screen.is_quiet = quiet
    _screen.console = Console(stderr=to_stderr, highlight=False)
    _screen.may_draw = log_format == "auto" and not quiet
    show_with(_show_waiting)
    handler = _LineHandler()
    text = TextFormatter(on_terminal=_screen.console.file.isatty())
    handler.setFormatter(JsonFormatter() if log_format == "json" else text)
    handler.addFilter(add_log_fields)
    if hides_worker:
        handler.addFilter(lambda record: "is_plain" not in vars(record))
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

    Draw nothing without a terminal, and leave nothing behind. `snapshot` must not block.
    """
    bar = WorkBar(snapshot)
    return _drawn(lambda: bar.render(_screen.console.width), _WORKING)


def _drawn(render: Render, rank: int) -> Drawing:
    return _draw(render, rank) if _screen.is_live else contextlib.nullcontext()


@contextmanager
def _draw(render: Render, rank: int) -> Iterator[None]:
    """Draw inside the block, unless another thread draws what is of a higher rank."""
    one = (rank, render)
    with _screen.lock:
        _screen.drawn += (one,)
        if _screen.live is None:
            _screen.live = Live(console=_screen.console, get_renderable=_top, transient=True)
            _screen.live.start()
    try:
        yield
    finally:
        with _screen.lock:
            rest = tuple(other for other in _screen.drawn if other is not one)
            if not rest and _screen.live is not None:
                _screen.live.stop()  # draws once more
                _screen.live = None
            _screen.drawn = rest


def _top() -> RenderableType:
    return max(_screen.drawn, key=lambda one: one[0])[1]()


def _show_waiting(describe: Callable[[], str]) -> Drawing | None:
    """Draw what is waited for; a bar that is drawn already shows it itself."""
    if any(rank == _WORKING for rank, _ in _screen.drawn):
        return contextlib.nullcontext()
    if not _screen.is_live:
        return None
    began = time.monotonic()

    def render() -> Screen:
        elapsed = span(time.monotonic() - began)
        facts = [Fact("Whisper server"), Fact(elapsed), Fact(printable(describe()))]
        return bar_line(_screen.console.width, 0, None, facts)

    return _draw(render, _WAITING)


@contextmanager
def recording_progress(
    name: str, files: FilesBar | None = None, index: int = 0
) -> Iterator[Callable[[float, float | None], None]]:
    """Draw a bar for a recording, one of `files`; yield what takes its seconds done and in all."""
    bar = files or FilesBar()
    bar.begin(index, name)
    with _drawn(lambda: bar.render(_screen.console.width), _READING):
        yield bar.advance


def print_line(line: str) -> None:
    """Print a line of a result to stdout."""
    Console(highlight=False).print(Text(printable(line)), soft_wrap=True)


def print_note(line: str) -> None:
    """Print a line about the result to stderr; if quiet, only errors and warnings."""
    if _screen.is_quiet and not line.startswith(_SERIOUS):
        return
    above_bar = _screen.console if _screen.live and _screen.console.stderr else None
    console = above_bar or Console(stderr=True, highlight=False)
    console.print(Text(printable(shown(line))), soft_wrap=True)


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
