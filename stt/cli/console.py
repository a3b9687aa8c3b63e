"""All that a person sees: log lines, progress bars, tables. The only importer of rich.

On a terminal a live bar stands below the log lines, and both go through one console so that they
never tear each other. Everywhere else an event is one plain line and nothing else is drawn.
"""

import contextlib
import logging
import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stt.cli.formatting import clock, json_text, local_time, plural, printable, span
from stt.cli.log_lines import JsonFormatter, TextFormatter
from stt.store.search import Hit
from stt.store.status import FailedChunk, QueueStatus, RecordingProgress
from stt.store.workers import WorkerStatus

LogFormat = Literal["auto", "text", "json"]
Screen = RenderableType
"""Something that `show` can print."""

_WIDEST_BAR = 20
_NARROWEST_BAR = 5
_ECHO_ROOM = 8  # for some `^C`: a line that wraps leaves copies of itself behind
_MAX_NAME = 40
_RATE_WINDOW_SECONDS = 60.0
_SOURCES_SHOWN = 20


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
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
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


def status_screen(status: QueueStatus, members: Iterable[WorkerStatus], where: str) -> Screen:
    """The whole of `stt status`."""
    alive = sum(member.is_alive for member in members)
    parts: list[Screen] = [Text(f"Queue {where}", style="bold"), ""]
    if status.counts.total == 0 and not status.sources:
        return Group(*parts, "The queue is empty. Put recordings in with: stt ingest PATH…")
    parts += [_counts_table(status), "", _outlook(status, alive)]
    if status.sources:
        parts += ["", *_recordings_table(status.sources)]
    if status.resting_chunks:
        more = status.resting - len(status.resting_chunks)
        parts += ["", *_failures("Resting after a failure", status.resting_chunks, more)]
    if status.failed_chunks:
        more = status.counts.failed - len(status.failed_chunks)
        parts += ["", *_failures("Failed chunks", status.failed_chunks, more)]
        parts += [Text("Once the cause is mended: stt retry", style="dim")]
    return Group(*parts)


def _counts_table(status: QueueStatus) -> Table:
    counts = status.counts
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    resting = f"{status.resting} at rest after a failure" if status.resting else ""
    stale = f"{status.stale} silent for longer than the lease" if status.stale else ""
    empty = f"{status.empty} without speech" if status.empty else ""
    table.add_row("pending", str(counts.pending), resting)
    table.add_row("processing", str(counts.processing), stale)
    table.add_row("transcribed", str(counts.transcribed), empty)
    table.add_row("failed", Text(str(counts.failed), style="red" if counts.failed else ""), "")
    return table


def _outlook(status: QueueStatus, alive: int) -> Text:
    if status.counts.open == 0 and status.counts.failed:
        have = "chunk has" if status.counts.failed == 1 else "chunks have"
        return Text(f"Nothing is left to do, but {status.counts.failed} {have} failed.", "red")
    if status.counts.open == 0:
        return Text("Nothing is left to do.", style="green")
    if alive == 0:
        return Text("No worker is at work. Start one with: stt", style="yellow")
    facts = [f"{plural(alive, 'worker')} at work"]
    if status.rate.chunks:
        facts.append(f"{status.rate.chunks_per_minute:.1f} chunks/min")
        facts.append(f"{status.rate.audio_seconds_per_second:.1f} s of audio per second")
    if status.eta_seconds:
        facts.append(f"about {span(status.eta_seconds)} left")
    return Text(" · ".join(facts))


def _recordings_table(recordings: Iterable[RecordingProgress]) -> list[Screen]:
    """Unfinished ones first; of many, those that one most likely looks for."""
    latest = list(recordings)[::-1]
    latest.sort(key=lambda s: s.counts.open == 0 and not s.is_ingesting)
    table = _table("Recording", ">Length", ">Chunks", ">Done", ">Failed", "Id", "")
    for recording in latest[:_SOURCES_SHOWN]:
        counts = recording.counts
        share = f"{100 * counts.transcribed // counts.total} %" if counts.total else "—"
        table.add_row(
            Text(printable(recording.filename)),
            "—" if recording.duration_seconds is None else clock(recording.duration_seconds),
            str(counts.total),
            share,
            Text(str(counts.failed or ""), style="red"),
            Text(printable(str(recording.id or "")), style="dim"),
            "being ingested" if recording.is_ingesting else "",
        )
    more = len(latest) - _SOURCES_SHOWN
    return (
        [table, Text(f"… and {more} more; --json lists all", style="dim")] if more > 0 else [table]
    )


def _failures(title: str, chunks: Iterable[FailedChunk], more: int) -> list[RenderableType]:
    """Two lines a chunk: messages are too long for a column."""
    lines: list[RenderableType] = [Text(title, style="bold")]
    for chunk in chunks:
        tries = "1 try" if chunk.attempts == 1 else f"{chunk.attempts} tries"
        at = "" if chunk.failed_at is None else f", {local_time(chunk.failed_at.timestamp())}"
        if chunk.failed_at is None and chunk.again_at is not None:
            at = f", again at {local_time(chunk.again_at.timestamp())}"
        place = f"no. {chunk.index} of {chunk.filename}, {tries}{at}"
        lines.append(Text(printable(f"{chunk.id}  {place}")))
        where = f" ({chunk.server})" if chunk.server and chunk.server not in chunk.message else ""
        error = Text(printable(f"{chunk.kind}: {chunk.message}{where}"), style="red")
        lines.append(Padding(error, (0, 0, 0, 4)))
    if more > 0:
        lines.append(Text(f"… and {more} more", style="dim"))
    return lines


def workers_table(members: Iterable[WorkerStatus]) -> Screen:
    """The whole of `stt workers`."""
    table = _table("Worker", "State", "Heard", ">Slots", ">In work", ">Done", ">Failed", "Server")
    for member in members:
        report, is_gone = member.report, not member.is_alive and member.report.state != "stopped"
        table.add_row(
            Text(printable(member.id)),
            Text("gone" if is_gone else printable(report.state), style="red" if is_gone else ""),
            f"{span(member.age_seconds)} ago",
            str(report.slots),
            str(len(report.chunks)),
            str(report.counts.get("transcribed", 0) + report.counts.get("empty", 0)),
            str(report.counts.get("error", 0)),
            Text(printable(report.server)),
        )
    if table.row_count == 0:
        return Text("No worker was seen in the last day. Start one with: stt")
    return table


def hits_screen(hits: Iterable[Hit], words: re.Pattern[str]) -> Screen:
    """The whole of `stt search`: a heading for each recording, and a line for each place."""
    lines: list[RenderableType] = []
    recording: object = None
    for hit in hits:
        if not lines or hit.recording_id != recording:
            recording = hit.recording_id
            name = printable(hit.filename) or "(no source)"
            lines += [*([""] if lines else []), Text(name, style="bold")]
        text = Text(printable(hit.text))
        text.highlight_regex(words, "bold yellow")
        lines.append(Text.assemble((f"{clock(hit.start):>8}  ", "dim"), text))
    return Group(*lines)


def _table(*headings: str) -> Table:
    """`>` before a heading puts its column to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header in headings:
        is_number = header.startswith(">")
        is_long = header in ("Recording", "Server")
        table.add_column(
            header.removeprefix(">"),
            justify="right" if is_number else "left",
            no_wrap=not is_long,
            overflow="fold",
        )
    return table


def _stdout() -> Console:
    return Console(highlight=False)
