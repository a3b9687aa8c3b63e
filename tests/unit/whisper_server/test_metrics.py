"""What Prometheus gets."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from whisper_server.engines.base import Transcription
from whisper_server.errors import Unavailable
from whisper_server.metrics import Metrics
from whisper_server.scheduler_state import InstanceState, SchedulerState

NOTHING = Transcription("en", 1.0, (), 0.0, ())
STATE = SchedulerState(
    capacity=4,
    in_work=3,
    waiting=2,
    waiting_audio_seconds=61.5,
    queued_windows=7,
    batch_fill=0.75,
    speed=None,
    instances=(InstanceState(1, "cuda:1", "busy", 16, 3, 40, 900.0, 12.5),),
)


def exported(metrics: Metrics) -> dict[str, float]:
    """By name and labels: `name{label=value}`."""

    def samples() -> Iterator[tuple[str, float]]:
        for family in text_string_to_metric_families(metrics.text().decode()):
            for sample in family.samples:
                labels = ",".join(
                    f"{name}={value}" for name, value in sorted(sample.labels.items())
                )
                yield f"{sample.name}{{{labels}}}" if labels else sample.name, sample.value

    return dict(samples())


def test_answers_are_counted_by_route_and_status() -> None:
    metrics = Metrics()
    for status in (200, 200, 503):
        metrics.request_ended("/v1/audio/transcriptions", status, 0.3)
    found = exported(metrics)
    assert found["whisper_requests_total{route=/v1/audio/transcriptions,status=200}"] == 2
    assert found["whisper_requests_total{route=/v1/audio/transcriptions,status=503}"] == 1
    assert found["whisper_request_seconds_sum{route=/v1/audio/transcriptions}"] == pytest.approx(
        0.9
    )


def test_recordings_add_up_to_seconds_of_audio_and_a_real_time_factor() -> None:
    metrics = Metrics()
    metrics.recording_done(replace(NOTHING, duration_seconds=60.0, dropped_segments=2), 3.0)
    metrics.recording_done(replace(NOTHING, duration_seconds=30.0, dropped_segments=1), 30.0)
    found = exported(metrics)
    assert found["whisper_dropped_segments_total"] == 3
    assert found["whisper_audio_seconds_total"] == 90
    assert found["whisper_real_time_factor_sum"] == pytest.approx(1.05)
    assert found["whisper_real_time_factor_bucket{le=0.05}"] == 1


def test_a_recording_without_length_has_no_real_time_factor() -> None:
    metrics = Metrics()
    metrics.recording_done(NOTHING, 3.0)
    assert exported(metrics)["whisper_real_time_factor_count"] == 0


def test_batches_are_counted_by_size_and_their_time_is_that_of_decoding() -> None:
    metrics = Metrics()
    metrics.batch(1, 20.0, 0.5)
    metrics.batch(16, 400.0, 1.5)
    found = exported(metrics)
    assert found["whisper_batch_windows_bucket{le=1.0}"] == 1
    assert found["whisper_batch_windows_bucket{le=16.0}"] == 2
    assert found["whisper_batch_windows_sum"] == 17
    assert found["whisper_decoded_audio_seconds_total"] == 420
    assert found["whisper_stage_seconds_sum{stage=decode}"] == 2.0
    assert found["whisper_stage_seconds_count{stage=decode}"] == 2


def test_time_is_told_by_stage_and_errors_by_kind() -> None:
    metrics = Metrics()
    metrics.stage("prepare", 0.25)
    metrics.stage("queue", 4.0)
    metrics.error(Unavailable("The queue is full.", 1, code="queue_full"))
    found = exported(metrics)
    assert found["whisper_stage_seconds_sum{stage=prepare}"] == 0.25
    assert found["whisper_stage_seconds_sum{stage=queue}"] == 4.0
    assert found["whisper_errors_total{kind=queue_full}"] == 1


def test_the_line_is_shown_as_it_is_when_somebody_looks() -> None:
    metrics = Metrics()
    metrics.watch(lambda: STATE)
    found = exported(metrics)
    assert found["whisper_queue_audio_seconds"] == 61.5
    assert found["whisper_queue_windows"] == 7
    assert found["whisper_requests_in_work"] == 3
    assert found["whisper_requests_waiting"] == 2
    assert found["whisper_batch_fill"] == 0.75
    assert found["whisper_speed"] != found["whisper_speed"]  # not a number: not measured yet
    assert found["whisper_instance_busy_seconds_total{device=cuda:1,instance=1}"] == 12.5


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_the_memory_of_the_process_is_told_on_every_platform(
    monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    metrics = Metrics()
    metrics.watch(lambda: STATE)
    families = list(text_string_to_metric_families(metrics.text().decode()))
    memory = [one for one in families if one.name == "process_resident_memory_bytes"]
    assert all(one.samples[0].value > 10_000_000 for one in memory)
    assert memory


def test_two_servers_in_a_process_do_not_share_a_count() -> None:
    one, other = Metrics(), Metrics()
    one.error(Unavailable("The queue is full.", 1, code="queue_full"))
    assert "whisper_errors_total{kind=queue_full}" not in exported(other)


def test_threads_lose_no_count() -> None:
    metrics = Metrics()

    def work() -> None:
        for _ in range(200):
            metrics.batch(2, 1.0, 0.1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert exported(metrics)["whisper_batch_windows_count"] == 1600
