"""Draw progress on one line that fits the terminal."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stt.cli.formatting import clock, plural, printable, span
from stt.domain.progress import Progress

_MAX_BAR_WIDTH = 20
_MIN_BAR_WIDTH = 5
_GAP_WIDTH = 2
_ECHO_WIDTH = 8  # for the echo of some `^C`; a line that wraps cannot be overwritten
_RATE_WINDOW_SECONDS = 60.0
_LEAST_RATE_SECONDS = 1.0  # a rate over less says nothing
_OVERDUE_SECONDS = 5.0
_LEAST_SHARE = 0.01  # a time left that is made from less says nothing
_MAX_NAME_WIDTH = 40
_MIN_NAME_WIDTH = 16


_BEFORE_BAR = 10
"""From this rank on a fact is left out if there is no room for a bar beside it."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A part of a line; those of the highest rank are left out first, and those of rank 0 never."""

    text: str
    short: str = ""
    rank: int = 0
    style: str = ""


@dataclass(frozen=True, slots=True)
class Speed:
    """What is done in a second: chunks, and seconds of audio; as of `age_seconds` ago."""

    chunks: float = 0.0
    audio_seconds: float = 0.0
    age_seconds: float = 0.0


class SpeedMeter:
    """Measures the speed over the last minute, from one finished chunk to another.

    So it stays the same until the next chunk is finished, unless that is overdue.
    """

    def __init__(self) -> None:
        self.began = time.monotonic()
        self._samples = deque([(self.began, 0, 0.0)])

    def measure(self, done: int, done_seconds: float) -> Speed:
        now, samples = time.monotonic(), self._samples
        if done < samples[-1][1]:  # it has begun anew
            samples.clear()
            samples.append((now, 0, 0.0))
        if done > samples[-1][1]:
            samples.append((now, done, done_seconds))
        while len(samples) > 2 and now - samples[1][0] > _RATE_WINDOW_SECONDS:
            samples.popleft()
        (since, done_then, seconds_then), (until, done_last, seconds_last) = samples[0], samples[-1]
        chunks, seconds = done_last - done_then, seconds_last - seconds_then
        overdue_at = until + max(_OVERDUE_SECONDS, 2 * (until - since) / max(1, chunks))
        measured_at = now if now > overdue_at else until
        elapsed = measured_at - since
        if elapsed < _LEAST_RATE_SECONDS:
            return Speed()
        return Speed(chunks / elapsed, seconds / elapsed, now - measured_at)


class WorkBar:
    """The line of a worker's run.

    Such as `━━━━━  40 % · 4/10 chunks · 1:58 of 4:28 · 12 × real time · about 12s left · 6 in
    flight`.
    """

    def __init__(self, snapshot: Callable[[], Progress]) -> None:
        self._snapshot = snapshot
        self._meter = SpeedMeter()

    def render(self, width: int) -> RenderableType:
        progress = self._snapshot()
        speed = self._meter.measure(progress.done, progress.done_seconds)
        facts = [*self._facts(progress, speed), *_details(progress)]
        return bar_line(width, _share(progress), progress.total and 1.0, facts)

    def _facts(self, progress: Progress, speed: Speed) -> Iterator[Fact]:
        done, total = progress.done, progress.total
        if total:
            yield Fact(f"{percent(progress)} %")
        yield Fact(f"{done} chunks" if total is None else f"{done}/{total} chunks", rank=1)
        if progress.total_seconds:
            all_seconds = progress.total_seconds
            done_seconds = min(progress.done_seconds + progress.expected_seconds, all_seconds)
            yield Fact(f"{clock(done_seconds)} of {clock(all_seconds)}", rank=2)
        elif progress.done_seconds:
            yield Fact(f"{clock(progress.done_seconds)} of audio", rank=2)
        if progress.is_growing:
            yield Fact("still reading", "reading", rank=4)
        if progress.waits_for:
            yield Fact(f"waits: {printable(progress.waits_for)}", style="yellow")
            return
        if done and speed.audio_seconds:
            yield Fact(real_time(speed.audio_seconds), f"{_rounded(speed.audio_seconds)}×", rank=3)
        left = (total or 0) - done
        if left > 0 and not progress.is_ending and (seconds := _seconds_left(progress, speed)):
            yield Fact(f"about {span(seconds)} left", f"{span(seconds)} left")
        elif total and left <= 0 and not progress.in_flight:
            yield Fact(span(time.monotonic() - self._meter.began))


class FilesBar:
    """The line of files that are read one after the other; `sizes` are their bytes.

    Such as `━━━━━  44 % · talk.mp3 · 3/12 files · 1:00 of 2:00 · 84 × real time · about 10s left`.
    """

    def __init__(self, sizes: Sequence[int] = (1,)) -> None:
        self._sizes = sizes
        self._began = time.monotonic()
        self._index, self._name = 0, ""
        self._done: float = 0.0
        self._total: float | None = None
        self._seconds_before = 0.0

    def begin(self, index: int, name: str) -> None:
        """Go on with another file."""
        self._seconds_before += self._done
        self._index, self._name, self._done, self._total = index, name, 0.0, None

    def advance(self, done_seconds: float, total_seconds: float | None) -> None:
        """Note the seconds of the file that are done and in all, None if it does not say."""
        self._done, self._total = done_seconds, total_seconds

    @property
    def expected_seconds(self) -> float:
        """About how long all files are together, by the part of their bytes that is read."""
        share = self._share()
        return (self._seconds_before + self._done) / share if share else 0.0

    def render(self, width: int) -> RenderableType:
        return bar_line(width, self._share(), 1.0, self._facts())

    def _share(self) -> float:
        size = self._sizes[self._index] * min(1.0, self._done / self._total if self._total else 0.0)
        return (sum(self._sizes[: self._index]) + size) / max(1, sum(self._sizes))

    def _facts(self) -> Iterator[Fact]:
        share, elapsed = self._share(), time.monotonic() - self._began
        if share or len(self._sizes) > 1:
            yield Fact(f"{min(99, int(100 * share))} %" if share < 1 else "100 %")
        name = printable(self._name)
        yield Fact(_shortened(name, _MAX_NAME_WIDTH), _shortened(name, _MIN_NAME_WIDTH))
        if len(self._sizes) > 1:
            yield Fact(f"{self._index + 1}/{len(self._sizes)} files", rank=2)
        total = f" of {clock(self._total)}" if self._total else ""
        yield Fact(clock(self._done) + total, rank=1)
        if elapsed < _LEAST_RATE_SECONDS:
            return
        if seconds := self._seconds_before + self._done:
            yield Fact(real_time(seconds / elapsed), f"{_rounded(seconds / elapsed)}×", rank=3)
        if _LEAST_SHARE < share < 1:
            left = span(max(1.0, elapsed * (1 - share) / share))
            yield Fact(f"about {left} left", f"{left} left")


def _shortened(name: str, width: int) -> str:
    text = Text(name)
    text.truncate(width, overflow="ellipsis")
    return text.plain


def percent(progress: Progress) -> int:
    """Return the share that is done, 100 for nothing less than all of it."""
    return int(round(100 * _share(progress), 6))


def _share(progress: Progress) -> float:
    """Return the share that is done, with what the calls in flight have probably done."""
    if not progress.total:
        return 0.0
    if progress.done >= progress.total:
        return 1.0
    share = progress.done / progress.total
    if progress.total_seconds:
        share = (progress.done_seconds + progress.expected_seconds) / progress.total_seconds
    return min(0.99, share)


def real_time(speed: float) -> str:
    """Format a speed, in seconds of audio per second: `0.4 × real time`."""
    return f"{_rounded(speed)} × real time"


def _rounded(speed: float) -> str:
    return f"{speed:.0f}" if speed >= 9.95 else f"{speed:.1f}"


def _seconds_left(progress: Progress, speed: Speed) -> float | None:
    seconds = None
    if progress.total_seconds and speed.audio_seconds:
        seconds = (progress.total_seconds - progress.done_seconds) / speed.audio_seconds
    elif progress.total and speed.chunks:
        seconds = (progress.total - progress.done) / speed.chunks
    return None if seconds is None else max(1.0, seconds - speed.age_seconds)


def _details(progress: Progress) -> Iterator[Fact]:
    """Yield what leaves its room to a bar, the most important first."""
    if progress.errors:
        yield Fact(plural(progress.errors, "error"), rank=_BEFORE_BAR, style="red")
    if progress.in_flight:
        yield Fact(f"{progress.in_flight} in flight", rank=_BEFORE_BAR + 1)
    if progress.elsewhere:
        yield Fact(f"{progress.elsewhere} by other workers", rank=_BEFORE_BAR + 2)


def bar_line(width: int, done: float, total: float | None, facts: Iterable[Fact]) -> RenderableType:
    """Return a line that fits a terminal of this width: shorter forms first, then fewer facts."""
    width_left = width - _ECHO_WIDTH
    shown = list(facts)
    for room, least_rank in (
        (width_left - _MIN_BAR_WIDTH - _GAP_WIDTH, _BEFORE_BAR),
        (width_left, 1),
    ):
        if _joined(shown).cell_len > room:
            shown = [replace(fact, text=fact.short or fact.text) for fact in shown]
        while _joined(shown).cell_len > room:
            last = max(shown, key=lambda fact: fact.rank)
            if last.rank < least_rank:
                break
            shown.remove(last)
    words = _joined(shown)
    words.truncate(max(width_left, 1), overflow="ellipsis")
    bar_width = min(_MAX_BAR_WIDTH, width_left - words.cell_len - _GAP_WIDTH)
    if total == 0 or bar_width < _MIN_BAR_WIDTH:
        return words
    line = Table.grid(padding=(0, _GAP_WIDTH))
    line.add_column(width=bar_width, no_wrap=True)
    line.add_column(no_wrap=True, overflow="ellipsis")
    line.add_row(ProgressBar(total=total or None, completed=done, width=bar_width), words)
    return line


def _joined(facts: Iterable[Fact]) -> Text:
    return Text(" · ").join(Text(fact.text, fact.style) for fact in facts)
