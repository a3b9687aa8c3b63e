"""What the queue and the fleet look like now: one look of this process for all who ask."""

import threading
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from stt.coordinator.store.full_count import (
    CountDelta,
    FullCount,
    HourlyThroughput,
    count_delta,
    hourly_throughput,
    take_full_count,
)
from stt.coordinator.store.nodes import NodeRegistry
from stt.coordinator.store.options import StoredOptions
from stt.coordinator.store.single_flight import SingleFlight
from stt.coordinator.store.uploads import UploadLog
from stt.settings import Settings
from stt.store.database import Database
from stt.store.status import Rate, StateCounts, eta_seconds, recent_rate
from stt.store.workers import MongoRoster

_SETTLED_SECONDS = 600.0
_TIMEOUT_SECONDS = 1.0
_LATE = timedelta(minutes=1)  # a write that took long carries a time of the hour before


@dataclass(frozen=True, slots=True)
class NodeCounts:
    """Nodes by their state."""

    online: int = 0
    busy: int = 0
    offline: int = 0


@dataclass(frozen=True, slots=True)
class QueueNow:
    """The queue at `at`, the database server's time. Fields as in `stt.store.status.QueueStatus`.

    Lengths in seconds; `errors_last_hour` counts the chunks that had one.
    """

    at: datetime
    counts: StateCounts
    empty: int
    resting: int
    stale: int
    audio_seconds_done: float
    audio_seconds_total: float
    rate: Rate
    eta_seconds: float | None
    nodes: NodeCounts
    workers_alive: int
    errors_last_hour: int
    uploads_open: int


class QueueMonitor:
    """Cheap however many ask, and however long the queue is. Safe between threads.

    Every method raises DatabaseUnavailable.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        stored_options: StoredOptions,
        registry: NodeRegistry,
    ) -> None:
        self._db = database
        self._lease_seconds = settings.lease_seconds
        self._options = stored_options
        self._registry = registry
        # Together at most about a seventh of the database's time.
        self._full_count = SingleFlight(
            lambda: take_full_count(database), keep_seconds=2.0, rest_factor=19.0
        )
        self._now = SingleFlight(self._read_now, rest_factor=9.0)
        self._lock = threading.Lock()
        self._throughputs: dict[int, SingleFlight[tuple[HourlyThroughput, ...]]] = {}
        # With the time, on time.monotonic(), when it is read again.
        self._hours: dict[datetime, tuple[HourlyThroughput, float]] = {}

    def now(self) -> QueueNow:
        """As of a second ago, or longer where the queue is so large that a look takes long."""
        return self._now.get(timeout_seconds=_TIMEOUT_SECONDS)

    def throughput(self, hours: int) -> tuple[HourlyThroughput, ...]:
        """So many hours by the clock, oldest first; the last one is not over yet."""
        with self._lock:
            shared = self._throughputs.get(hours)
            if shared is None:
                shared = self._throughputs[hours] = SingleFlight(
                    lambda: self._read_hours(hours), keep_seconds=5.0, rest_factor=9.0
                )
        return shared.get(timeout_seconds=_TIMEOUT_SECONDS)

    def invalidate(self) -> None:
        """Somebody has changed the queue by hand: everything is to be counted anew."""
        self._hours.clear()
        self._full_count.invalidate()
        self._now.invalidate()

    def _read_now(self) -> QueueNow:
        full_count = self._full_count.get(timeout_seconds=_TIMEOUT_SECONDS)
        delta = count_delta(full_count, self._db, self._lease_seconds)
        if delta.documents < full_count.documents:  # some were deleted: who knows which
            self._full_count.invalidate()
            full_count = self._full_count.get(timeout_seconds=_TIMEOUT_SECONDS)
            delta = count_delta(full_count, self._db, self._lease_seconds)
        counts = counts_of(full_count, delta)
        rate = recent_rate(self._db, delta.at)
        done_seconds = full_count.audio_seconds_done + delta.audio_seconds_done
        return QueueNow(
            at=delta.at,
            counts=counts,
            empty=full_count.empty + delta.empty,
            resting=min(full_count.resting, counts.pending),
            stale=delta.stale,
            audio_seconds_done=done_seconds,
            audio_seconds_total=max(full_count.audio_seconds, done_seconds),
            rate=rate,
            eta_seconds=eta_seconds(counts, rate),
            nodes=self._node_counts(),
            workers_alive=sum(member.is_alive for member in MongoRoster(self._db).members()),
            errors_last_hour=full_count.with_errors,
            uploads_open=UploadLog(self._db).count_open(),
        )

    def _node_counts(self) -> NodeCounts:
        look = self._registry.snapshot()
        offline_seconds = self._options.current().offline_seconds
        states = Counter(node.state(look.at, offline_seconds) for node in look.nodes.values())
        return NodeCounts(states["online"], states["busy"], states["offline"])

    def _read_hours(self, hours: int) -> tuple[HourlyThroughput, ...]:
        now = self._db.server_time()
        return tuple(self._hour(begin, now) for begin in hours_until(now, hours))

    def _hour(self, begin: datetime, now: datetime) -> HourlyThroughput:
        """An hour that is over hardly ever changes."""
        hour, due_at = self._hours.get(begin, (None, 0.0))
        if hour is None or time.monotonic() >= due_at:
            is_over = now - begin > timedelta(hours=1) + _LATE
            due_at = time.monotonic() + (_SETTLED_SECONDS if is_over else 0.0)
            hour = hourly_throughput(self._db, begin)
            self._hours[begin] = hour, due_at
        return hour


def counts_of(full_count: FullCount, delta: CountDelta) -> StateCounts:
    """What is neither done, nor failed, nor in work, is pending, new chunks included."""
    chunks = full_count.chunks + delta.documents - full_count.documents
    transcribed = full_count.transcribed + delta.transcribed
    others = transcribed + delta.failed + delta.processing
    return StateCounts(
        pending=max(0, chunks - others),
        processing=delta.processing,
        transcribed=transcribed,
        failed=delta.failed,
    )


def hours_until(now: datetime, hours: int) -> list[datetime]:
    """When the last `hours` hours of the clock began, oldest first; the last has `now` in it."""
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    return [this_hour - timedelta(hours=back) for back in reversed(range(hours))]
