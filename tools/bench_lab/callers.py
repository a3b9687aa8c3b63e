"""Callers who send recordings at the same time, each the next one as soon as it has its answer."""

import math
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording on disk and how long it is."""

    path: Path
    seconds: float


class CallFailed(Exception):
    """`str()` of it is the kind of failure, under which it is counted."""


class Hopeless(CallFailed):
    """No other call would fare better: all callers stop."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call that has ended; `failure` is None when it went well, `words` where none are told."""

    clip: Clip
    latency_seconds: float
    failure: CallFailed | None = None
    words: int | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of a run; `wall_seconds` from the first call's start to the last one's end."""

    clients: int
    wall_seconds: float
    calls: tuple[Call, ...]
    was_interrupted: bool = False
    was_cut: bool = False
    """By the limit, before all clips were through."""

    @property
    def good(self) -> tuple[Call, ...]:
        return tuple(call for call in self.calls if call.failure is None)

    @property
    def failures(self) -> Counter[str]:
        return Counter(str(call.failure) for call in self.calls if call.failure is not None)

    @property
    def hopeless(self) -> Hopeless | None:
        """Why the callers stopped before they were through."""
        found = (call.failure for call in self.calls)
        return next((failure for failure in found if isinstance(failure, Hopeless)), None)

    @property
    def audio_seconds(self) -> float:
        """Of the calls that went well."""
        return sum(call.clip.seconds for call in self.good)

    @property
    def words_per_second(self) -> float | None:
        """Of the audio of the calls that went well; None where they tell no words."""
        told = [call.words for call in self.good if call.words is not None]
        return sum(told) / self.audio_seconds if told else None

    @property
    def speed(self) -> float:
        """Seconds of audio per second."""
        return self.audio_seconds / self.wall_seconds if self.wall_seconds else 0.0

    def latency(self, share: float) -> float | None:
        """Of the calls that went well, in seconds; None when none did."""
        return percentile([call.latency_seconds for call in self.good], share)


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` (0 to 1) of them do not exceed; None of none."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def run(
    call: Callable[[Clip], int | None],
    clips: Sequence[Clip],
    clients: int,
    on_end: Callable[[Call], None] = lambda _: None,
    limit_seconds: float = math.inf,
    *,
    waits: bool = False,
) -> Measured:
    """`clients` threads share out `clips` and `call` with each; `on_end` runs in this thread.

    A call may return the number of words in its text. After the limit the calls that are under way
    count for nothing, and neither does the time since the last one ended; they are left alone, or
    waited for with `waits`.

    An exception other than `CallFailed` ends the run and comes out of here. Ctrl-C ends it with
    what was measured so far; calls that are under way are left alone, and die with the process.
    """
    todo: queue.SimpleQueue[Clip] = queue.SimpleQueue()
    done: queue.SimpleQueue[Call | Exception] = queue.SimpleQueue()
    for clip in clips:
        todo.put(clip)
    stop = threading.Event()
    began = time.perf_counter()
    callers = [
        threading.Thread(target=_caller, args=(call, todo, done, stop), daemon=True)
        for _ in range(clients)
    ]
    for caller in callers:
        caller.start()
    ended: list[Call] = []
    ended_at: float | None = None
    was_interrupted = was_cut = False
    try:
        for _ in clips:
            left = began + limit_seconds - time.perf_counter()
            try:
                one = done.get(timeout=None if math.isinf(left) else max(0.0, left))
            except queue.Empty:
                was_cut = True
                break
            if isinstance(one, Exception):
                raise one
            ended.append(one)
            ended_at = time.perf_counter()
            on_end(one)
            if isinstance(one.failure, Hopeless):
                break
    except KeyboardInterrupt:
        was_interrupted = True
    finally:
        stop.set()
    wall_seconds = (ended_at or time.perf_counter()) - began
    if waits:
        for caller in callers:
            caller.join()
    return Measured(clients, wall_seconds, tuple(ended), was_interrupted, was_cut)


def _caller(
    call: Callable[[Clip], int | None],
    todo: "queue.SimpleQueue[Clip]",
    done: "queue.SimpleQueue[Call | Exception]",
    stop: threading.Event,
) -> None:
    while not stop.is_set():
        try:
            clip = todo.get_nowait()
        except queue.Empty:
            return
        began = time.perf_counter()
        failure = words = None
        try:
            words = call(clip)
        except CallFailed as error:
            failure = error
        except Exception as error:
            done.put(error)
            return
        done.put(Call(clip, time.perf_counter() - began, failure, words))
