"""Metrics of the server, for Prometheus (https://prometheus.io/docs/concepts)."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Scope

from stt.serving.request_end import CLIENT_GONE, RequestEnd, route_of
from whisper_server.engines.base import Transcription
from whisper_server.errors import ApiError
from whisper_server.hardware import process_bytes
from whisper_server.scheduler_state import SchedulerState
from whisper_server.settings import MAX_BATCH_SIZE

Stage = Literal["prepare", "queue", "encode", "decode", "speakers"]
"""prepare: upload → samples → speech → spectrograms, a step; queue: a window waits; encode: a
batch, to find its languages; decode: a batch; speakers: a recording waits for them."""

_BATCHES = (1, 2, 4, 8, 16, 32, MAX_BATCH_SIZE)
_REQUEST_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
_REAL_TIME_FACTORS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)

# Else each counter would have a metric beside it, the time of its start.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics(Collector):
    """One registry for one server, so that tests may start several in a process."""

    def __init__(self) -> None:
        registry = self._registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=registry)  # it exports on Linux only
        counter = partial(prometheus_client.Counter, registry=registry)
        histogram = partial(prometheus_client.Histogram, registry=registry)
        self._requests = counter(
            "whisper_requests",
            "Answers by route and status; 499: the caller hung up first",
            ["route", "status"],
        )
        self._request_seconds = histogram(
            "whisper_request_seconds",
            "From a request's first byte to the end of its answer",
            ["route"],
            buckets=_REQUEST_SECONDS,
        )
        self._audio_seconds = counter(
            "whisper_audio_seconds", "Seconds of recordings that were transcribed whole"
        )
        self._dropped_segments = counter(
            "whisper_dropped_segments", "Segments that were left out because they cannot be speech"
        )
        self._real_time_factor = histogram(
            "whisper_real_time_factor",
            "Of each recording: seconds from its admission to its result, by its own seconds",
            buckets=_REAL_TIME_FACTORS,
        )
        self._errors = counter("whisper_errors", "Errors by their code", ["kind"])
        self._stages = prometheus_client.Summary(
            "whisper_stage_seconds",
            "Time by stage: prepare (a step of a recording), queue (a window waits), encode "
            "(a batch, to find its languages), decode (a batch), speakers (a transcript that is "
            "whole waits for its speakers)",
            ["stage"],
            registry=registry,
        )
        self._batches = histogram(
            "whisper_batch_windows", "Windows that were decoded together", buckets=_BATCHES
        )
        self._decoded_seconds = counter(
            "whisper_decoded_audio_seconds",
            "Seconds of audio in the windows that were decoded, repeated attempts included",
        )

    def watch(self, state: Callable[[], SchedulerState]) -> None:
        """Export the state, as `state` returns it at each scrape."""
        self._state = state
        self._registry.register(self)

    def request_ended(self, route: str, status: int, seconds: float) -> None:
        """Count a request; status 499 if its client left before the answer."""
        self._requests.labels(route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def recording_done(self, found: Transcription, seconds: float) -> None:
        """Count a recording that was transcribed whole, `seconds` after its admission."""
        self._audio_seconds.inc(found.duration_seconds)
        self._dropped_segments.inc(found.dropped_segments)
        if found.duration_seconds > 0:
            self._real_time_factor.observe(seconds / found.duration_seconds)

    def error(self, error: ApiError) -> None:
        """Count an error by its `code`, like queue_full; ClientGone has none."""
        if error.code:
            self._errors.labels(error.code).inc()

    def stage(self, name: Stage, seconds: float) -> None:
        """Count the time of one window, or one piece, in a stage."""
        self._stages.labels(name).observe(seconds)

    def batch(self, size: int, audio_seconds: float, seconds: float) -> None:
        """Count a call of an engine's `decode`."""
        self._batches.observe(size)
        self._decoded_seconds.inc(audio_seconds)
        self.stage("decode", seconds)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format; its type is CONTENT_TYPE_LATEST."""
        return prometheus_client.generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Return the scheduler's state, for the registry."""
        state = self._state()
        for name, text, value in (
            ("capacity", "Requests that can be transcribed at once", state.capacity),
            ("requests_in_work", "Requests that are being transcribed", state.in_work),
            ("requests_waiting", "Requests admitted beside them", state.waiting),
            ("queue_audio_seconds", "Seconds of audio that wait", state.waiting_audio_seconds),
            ("queue_windows", "Windows of speech that wait for a batch", state.queued_windows),
            ("batch_fill", "Share of a batch's places taken lately", state.batch_fill),
            ("speed", "Seconds of audio lately done in a second of work", state.speed),
        ):
            yield GaugeMetricFamily(
                f"whisper_{name}", text, value=float("nan") if value is None else value
            )
        busy = CounterMetricFamily(
            "whisper_instance_busy_seconds",
            "Time that each copy of the model has decoded, its streams added up",
            labels=["instance", "device"],
        )
        for instance in state.instances:
            busy.add_metric([str(instance.id), instance.device], instance.busy_seconds)
        yield busy
        if sys.platform != "linux":
            yield GaugeMetricFamily(
                "process_resident_memory_bytes", "Resident memory size in bytes.", process_bytes()
            )


class RequestCount(RequestEnd):
    """ASGI middleware: counts each answer under its route's template, never under its path."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        super().__init__(app)
        self._metrics = metrics

    def ended(self, scope: Scope, status: int | None, seconds: float) -> None:
        self._metrics.request_ended(route_of(scope), status or CLIENT_GONE, seconds)
