"""The numbers of the queue and the fleet, read once in this process for all callers."""

import time
from collections import Counter
from datetime import datetime, timedelta
from functools import cache, partial

from stt.coordinator.schemas.status import NodeCounts, QueueCounts, QueueSnapshot
from stt.coordinator.store import chunk_counts
from stt.coordinator.store.nodes import NodeRegistry
from stt.coordinator.store.options import StoredOptions
from stt.coordinator.store.uploads import UploadLog
from stt.settings import Settings
from stt.store.counts import StateCounts
from stt.store.database import Database
from stt.store.model_routing import count_waiting, waiting_chunks
from stt.store.status import eta_seconds, recent_rate
from stt.store.workers import MongoRoster, count_machines
from stt.system.single_flight import SingleFlight

_TIMEOUT_SECONDS = 1.0
_SETTLED_SECONDS = 600.0
_LATE = timedelta(minutes=1)  # a write that took long carries a time of the hour before


class QueueMonitor:
    """The queue's numbers; cheap for any number of callers, and for any length of the queue.

    Every method raises DatabaseUnavailable. Safe between threads.
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
        # Deltas are read while the next full count is still under way.
        self._full_count = SingleFlight(
            lambda: chunk_counts.take_full_count(database), keep_seconds=2.0, rest_factor=19.0
        )
        self._now = SingleFlight(self._read_now, rest_factor=9.0)
        self._throughputs = cache(
            lambda hours: SingleFlight(
                partial(self._read_hours, hours), keep_seconds=5.0, rest_factor=9.0
            )
        )
        # With the time, on time.monotonic(), when it is read again.
        self._hours: dict[datetime, tuple[chunk_counts.HourlyThroughput, float]] = {}

    def now(self) -> QueueSnapshot:
        """Return the queue as of a second ago, or longer where reading it takes long."""
        return self._now.get(timeout_seconds=_TIMEOUT_SECONDS)

    def throughput(self, hours: int) -> tuple[chunk_counts.HourlyThroughput, ...]:
        """Return so many hours by the clock, oldest first; the last one is not over yet."""
        return self._throughputs(hours).get(timeout_seconds=_TIMEOUT_SECONDS)

    def invalidate(self) -> None:
        """Count everything anew: a person has changed the queue."""
        self._hours.clear()
        self._full_count.invalidate()
        self._now.invalidate()

    def _read_now(self) -> QueueSnapshot:
        full, delta = self._read_counts()
        if delta.documents < full.documents:  # some were deleted, in unknown states
            self._full_count.invalidate()
            full, delta = self._read_counts()
        counts = counts_of(full, delta)
        rate = recent_rate(self._db, delta.at)
        missing = waiting_chunks(self._db)
        members = list(MongoRoster(self._db).members())
        done_seconds = full.done.audio_seconds + delta.done.audio_seconds
        return QueueSnapshot(
            at=delta.at,
            counts=QueueCounts.model_validate(counts),
            empty=full.done.empty + delta.done.empty,
            resting=min(full.open.resting, counts.pending),
            stale=delta.stale,
            dismissed=delta.dismissed,
            audio_seconds_done=done_seconds,
            audio_seconds_total=max(
                full.done.audio_seconds + full.open.audio_seconds + full.later.audio_seconds,
                done_seconds,
            ),
            rate=rate,
            eta_seconds=eta_seconds(counts, rate, count_waiting(self._db, missing)),
            nodes=self._node_counts(),
            workers_alive=sum(member.is_alive for member in members),
            machines_alive=count_machines(members),
            errors_last_hour=full.with_errors,
            uploads_open=UploadLog(self._db).count_open(),
            missing_models=missing,
        )

    def _read_counts(self) -> tuple[chunk_counts.FullCount, chunk_counts.CountDelta]:
        full = self._full_count.get(timeout_seconds=_TIMEOUT_SECONDS)
        return full, chunk_counts.count_delta(full, self._db, self._lease_seconds)

    def _node_counts(self) -> NodeCounts:
        snapshot = self._registry.snapshot()
        offline_seconds = self._options.current().offline_seconds
        states: Counter[str] = Counter(
            node.state(snapshot.at, offline_seconds) for node in snapshot.nodes.values()
        )
        return NodeCounts(**states)

    def _read_hours(self, hours: int) -> tuple[chunk_counts.HourlyThroughput, ...]:
        now = self._db.server_time()
        return tuple(self._hour(begin, now) for begin in hours_until(now, hours))

    def _hour(self, begin: datetime, now: datetime) -> chunk_counts.HourlyThroughput:
        """Return an hour; one that is over hardly ever changes, and is read seldom."""
        hour, due_at = self._hours.get(begin, (None, 0.0))
        if hour is None or time.monotonic() >= due_at:
            is_over = now - begin > timedelta(hours=1) + _LATE
            due_at = time.monotonic() + (_SETTLED_SECONDS if is_over else 0.0)
            hour = chunk_counts.hourly_throughput(self._db, begin)
            self._hours[begin] = hour, due_at
        return hour


def counts_of(full: chunk_counts.FullCount, delta: chunk_counts.CountDelta) -> StateCounts:
    """Count as pending what is neither done, nor failed, nor in work, new chunks included."""
    counted = full.done.chunks + full.open.chunks + full.later.chunks
    chunks = counted + delta.documents - full.documents
    transcribed = full.done.chunks + delta.done.chunks
    others = transcribed + delta.failed + delta.processing
    return StateCounts(
        pending=max(0, chunks - others),
        processing=delta.processing,
        transcribed=transcribed,
        failed=delta.failed,
    )


def hours_until(now: datetime, hours: int) -> list[datetime]:
    """Return when the last `hours` hours of the clock began, oldest first; `now` is in the last."""
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    return [this_hour - timedelta(hours=back) for back in reversed(range(hours))]
