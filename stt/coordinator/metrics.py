"""What the coordinator counts, and what it sees, in Prometheus' form
(https://prometheus.io/docs/concepts)."""

import time
from collections.abc import Iterator
from dataclasses import asdict

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stt.coordinator.store.status import QueueMonitor, QueueNow
from stt.errors import DatabaseUnavailable

CONTENT_TYPE = CONTENT_TYPE_LATEST

_CLIENT_GONE = 499
_NO_ROUTE = "none"
"""The route of a request that met none; its path would be one more label each."""
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a time stamp beside every counter


class Metrics:
    """One registry for one application, so that tests may start several in a process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)  # Linux alone has something for it
        self._requests = Counter(
            "stt_requests",
            "Answers by route, method and status; 499: the caller hung up first",
            ["route", "method", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "stt_request_seconds",
            "From a request's first byte to the end of its answer, long polls' waiting included",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )

    def request_ended(self, route: str, method: str, status: int, seconds: float) -> None:
        """An answer has left, or its client has."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self, queue_monitor: QueueMonitor) -> bytes:
        """Everything; its type is `CONTENT_TYPE`. Without the queue while the database is away."""
        queue = CollectorRegistry()
        queue.register(_QueueCollector(queue_monitor))
        return generate_latest(self._registry) + generate_latest(queue)


class RequestCount:
    """ASGI middleware: counts each answer under its route's template, never under its path."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_at, status = time.monotonic(), _CLIENT_GONE

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            route = getattr(scope.get("route"), "path", _NO_ROUTE)
            seconds = time.monotonic() - began_at
            self._metrics.request_ended(route, _method(scope), status, seconds)


def _method(scope: Scope) -> str:
    """A client may send any word as one."""
    method: str = scope["method"]
    known = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    return method if method in known else "other"


class _QueueCollector(Collector):
    """Asks the watch when Prometheus asks us."""

    def __init__(self, queue_monitor: QueueMonitor) -> None:
        self._queue_monitor = queue_monitor

    def describe(self) -> Iterator[Metric]:
        """Nothing: to find the names out would take a look."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        try:
            now = self._queue_monitor.now()
        except DatabaseUnavailable:
            yield GaugeMetricFamily("stt_database_up", "1 if the database answers", value=0)
            return
        yield GaugeMetricFamily("stt_database_up", "1 if the database answers", value=1)
        yield from _queue_metrics(now)


def _queue_metrics(now: QueueNow) -> Iterator[Metric]:
    chunks = GaugeMetricFamily("stt_chunks", "Chunks by state", labels=["state"])
    for state, count in asdict(now.counts).items():
        chunks.add_metric([state], count)
    yield chunks
    nodes = GaugeMetricFamily("stt_nodes", "Nodes by state", labels=["state"])
    for state, count in asdict(now.nodes).items():
        nodes.add_metric([state], count)
    yield nodes
    yield CounterMetricFamily(
        "stt_audio_seconds_transcribed",
        "Seconds of audio that have a transcript; falls when recordings are deleted",
        value=now.audio_seconds_done,
    )
    for name, text, value in (
        ("audio_seconds", "Seconds of audio in all chunks", now.audio_seconds_total),
        ("chunks_empty", "Transcribed chunks in which nothing was said", now.empty),
        ("chunks_resting", "Pending chunks that wait after a failure", now.resting),
        ("claims_stale", "Claims that have outlived their lease", now.stale),
        ("chunks_per_minute", "Chunks done lately in a minute", now.rate.chunks_per_minute),
        ("speed", "Seconds of audio lately done in a second", now.rate.audio_seconds_per_second),
        ("workers_alive", "Workers heard of lately", now.workers_alive),
        ("errors_last_hour", "Chunks with an error in the last hour", now.errors_last_hour),
        ("uploads_open", "Uploads on their way, or being cut", now.uploads_open),
    ):
        yield GaugeMetricFamily(f"stt_{name}", text, value=value)
