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
    hourly_throughput,
    news_since,
    take_census,
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
        # CountDelta is read while the next census is still under way.
        self._census = SingleFlight(
            lambda: take_census(database), rest_seconds=2.0, rest_factor=19.0
        )
        self._now = SingleFlight(self._look)
        self._lock = threading.Lock()
        self._throughputs: dict[int, SingleFlight[tuple[HourlyThroughput, ...]]] = {}
        self._hours: dict[datetime, _ReadHour] = {}

    def now(self) -> QueueNow:
        """As of a second ago, or longer where the queue is so large that a look takes long."""
        return self._now.get()

    def throughput(self, hours: int) -> tuple[HourlyThroughput, ...]:
        """So many hours by the clock, oldest first; the last one is not over yet."""
        with self._lock:
            look = self._throughputs.get(hours)
            if look is None:
                look = SingleFlight(lambda: self._read_hours(hours), rest_seconds=5.0)
                self._throughputs[hours] = look
        return look.get()

    def changed(self) -> None:
        """Somebody has changed the queue by hand: everything is to be counted anew."""
        self._hours.clear()
        self._census.outdate()
        self._now.outdate()

    def _look(self) -> QueueNow:
        census = self._census.get()
        news = news_since(census, self._db, self._lease_seconds)
        if news.documents < census.documents:  # some were deleted: who knows which
            self._census.outdate()
            census = self._census.get()
            news = news_since(census, self._db, self._lease_seconds)
        counts = counts_of(census, news)
        rate = recent_rate(self._db, news.at)
        done_seconds = census.audio_seconds_done + news.audio_seconds_done
        return QueueNow(
            at=news.at,
            counts=counts,
            empty=census.empty + news.empty,
            resting=min(census.resting, counts.pending),
            stale=news.stale,
            audio_seconds_done=done_seconds,
            audio_seconds_total=max(census.audio_seconds, done_seconds),
            rate=rate,
            eta_seconds=eta_seconds(counts, rate),
            nodes=self._node_counts(),
            workers_alive=sum(member.is_alive for member in MongoRoster(self._db).members()),
            errors_last_hour=census.with_errors,
            uploads_open=UploadLog(self._db).count_open(),
        )

    def _node_counts(self) -> NodeCounts:
        look = self._registry.look()
        offline_seconds = self._options.current().offline_seconds
        states = Counter(node.state(look.at, offline_seconds) for node in look.nodes.values())
        return NodeCounts(states["online"], states["busy"], states["offline"])

    def _read_hours(self, hours: int) -> tuple[HourlyThroughput, ...]:
        now = self._db.server_time()
        return tuple(self._hour(begin, now) for begin in hours_until(now, hours))

    def _hour(self, begin: datetime, now: datetime) -> HourlyThroughput:
        """An hour that is over hardly ever changes."""
        known = self._hours.get(begin)
        if known is None or time.monotonic() >= known.due_at:
            is_over = now - begin > timedelta(hours=1) + _LATE
            due_at = time.monotonic() + (_SETTLED_SECONDS if is_over else 0.0)
            known = self._hours[begin] = _ReadHour(hourly_throughput(self._db, begin), due_at)
        return known.hourly_throughput


@dataclass(frozen=True, slots=True)
class _ReadHour:
    """`due_at`, on time.monotonic(), it is read again."""

    hourly_throughput: HourlyThroughput
    due_at: float


def counts_of(census: FullCount, news: CountDelta) -> StateCounts:
    """What is neither done, nor failed, nor in work, is pending, new chunks included."""
    chunks = census.chunks + news.documents - census.documents
    transcribed = census.transcribed + news.transcribed
    others = transcribed + news.failed + news.processing
    return StateCounts(
        pending=max(0, chunks - others),
        processing=news.processing,
        transcribed=transcribed,
        failed=news.failed,
    )


def hours_until(now: datetime, hours: int) -> list[datetime]:
    """When the last `hours` hours of the clock began, oldest first; the last has `now` in it."""
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    return [this_hour - timedelta(hours=back) for back in reversed(range(hours))]
