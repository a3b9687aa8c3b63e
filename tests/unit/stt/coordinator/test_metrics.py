"""What is counted of requests, and what is left out while the database is away."""

from unittest.mock import Mock

import pytest

from stt.coordinator.metrics import Metrics
from stt.coordinator.store.status import QueueMonitor
from stt.errors import DatabaseUnavailable


@pytest.fixture
def away() -> Mock:
    return Mock(QueueMonitor, now=Mock(side_effect=DatabaseUnavailable("away")))


def test_requests_are_counted_by_route_method_and_status(away: Mock) -> None:
    metrics = Metrics(away)
    for status in (200, 200, 404):
        metrics.request_ended("/tasks", "GET", status, 0.02)
    lines = metrics.text().decode().splitlines()
    assert 'stt_requests_total{method="GET",route="/tasks",status="200"} 2.0' in lines
    assert 'stt_requests_total{method="GET",route="/tasks",status="404"} 1.0' in lines
    assert 'stt_request_seconds_bucket{le="0.01",route="/tasks"} 0.0' in lines
    assert 'stt_request_seconds_bucket{le="0.025",route="/tasks"} 3.0' in lines


def test_a_method_that_a_client_made_up_makes_no_label(away: Mock) -> None:
    metrics = Metrics(away)
    for method in ("BREW", "x" * 1_000):
        metrics.request_ended("none", method, 405, 0.0)
    text = metrics.text().decode()
    assert 'stt_requests_total{method="other",route="none",status="405"} 2.0' in text
    assert "BREW" not in text


def test_without_a_database_the_queue_is_left_out_and_the_rest_is_there(away: Mock) -> None:
    text = Metrics(away).text().decode()
    assert "stt_database_up 0.0" in text
    assert "stt_chunks" not in text


def test_two_applications_in_one_process_count_by_themselves(away: Mock) -> None:
    first, second = Metrics(away), Metrics(away)
    first.request_ended("/health", "GET", 200, 0.0)
    assert b"/health" not in second.text()
