"""What the coordinator counts, and the queue's numbers, in Prometheus' form.

See https://prometheus.io/docs/concepts.
"""

from collections.abc import Iterator

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from stt.coordinator.schemas.status import QueueSnapshot
from stt.coordinator.store.status import QueueMonitor
from stt.errors import DatabaseUnavailable

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# Else each counter would have a metric beside it, the time of its start.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics(Collector):
    """One registry for one application, so that tests may start several in a process."""

    def __init__(self, queue_monitor: QueueMonitor) -> None:
        self._queue_monitor = queue_monitor
        self._registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self._registry)  # has numbers on Linux only
        self._requests = prometheus_client.Counter(
            "stt_requests",
            "Answers by route, method and status; 499: the caller hung up first",
            ["route", "method", "status"],
            registry=self._registry,
        )
        self._seconds = prometheus_client.Histogram(
            "stt_request_seconds",
            "From a request's first byte to the end of its answer, long polls' waiting included",
            ["route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(self)

    def request_ended(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a response under its route's template; clients may send any word as a method."""
        known_method = method if method in _METHODS else "other"
        self._requests.labels(route, known_method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return everything in Prometheus' form; without the queue while the database is away."""
        return prometheus_client.generate_latest(self._registry)

    def describe(self) -> Iterator[Metric]:
        """Return nothing: finding out the names would read the database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Return the queue's numbers, for the registry."""
        try:
            queue = self._queue_monitor.now()
        except DatabaseUnavailable:
            yield GaugeMetricFamily("stt_database_up", "1 if the database answers", value=0)
            return
        yield GaugeMetricFamily("stt_database_up", "1 if the database answers", value=1)
        yield from _queue_metrics(queue)


def _queue_metrics(queue: QueueSnapshot) -> Iterator[Metric]:
    for name, text, counts in (
        ("chunks", "Chunks by state", queue.counts.model_dump(exclude={"total"})),
        ("nodes", "Nodes by state", queue.nodes.model_dump()),
    ):
        by_state = GaugeMetricFamily(f"stt_{name}", text, labels=["state"])
        for state, count in counts.items():
            by_state.add_metric([state], count)
        yield by_state
    yield CounterMetricFamily(
        "stt_audio_seconds_transcribed",
        "Seconds of audio that have a transcript; falls when recordings are deleted",
        value=queue.audio_seconds_done,
    )
    for name, text, value in (
        ("audio_seconds", "Seconds of audio in all chunks", queue.audio_seconds_total),
        ("chunks_empty", "Transcribed chunks in which nothing was said", queue.empty),
        ("chunks_resting", "Pending chunks that wait after a failure", queue.resting),
        ("claims_stale", "Claims that have outlived their lease", queue.stale),
        ("chunks_per_minute", "Chunks done lately in a minute", queue.rate.chunks_per_minute),
        ("speed", "Seconds of audio lately done in a second", queue.rate.audio_seconds_per_second),
        ("workers_alive", "Workers with a recent heartbeat", queue.workers_alive),
        ("errors_last_hour", "Chunks with an error in the last hour", queue.errors_last_hour),
        ("uploads_open", "Uploads on their way, or being cut", queue.uploads_open),
    ):
        yield GaugeMetricFamily(f"stt_{name}", text, value=value)
