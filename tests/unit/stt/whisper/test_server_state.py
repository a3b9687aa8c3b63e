"""What a pool records about one server."""

import pytest

from stt.errors import CannotTranslate
from stt.whisper import server_state
from stt.whisper.client import WhisperClient
from stt.whisper.server_state import ServerState, Speed


@pytest.fixture
def server() -> ServerState:
    return ServerState(WhisperClient("http://gpu-box:8081", None, None), capacity=2)


def test_a_speed_is_unknown_until_measured_and_then_follows_the_latest_calls() -> None:
    speed = Speed()
    assert speed.rate is None
    speed.measured(30, 3)
    assert speed.rate == 10
    for _ in range(20):
        speed.measured(30, 1)
    assert speed.rate == pytest.approx(30, rel=0.01)


def test_a_server_that_refused_to_translate_is_asked_again_after_a_while(
    server: ServerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.can("translate")
    server.refused(CannotTranslate("English only"))
    assert not server.can("translate")
    assert server.can("transcribe")
    monkeypatch.setattr(server_state, "_MEMORY_SECONDS", -1.0)
    assert server.can("translate")


def test_a_speed_is_unknown_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    speed = Speed()
    speed.measured(30, 3)
    monkeypatch.setattr(server_state, "_MEMORY_SECONDS", -1.0)
    assert speed.rate is None


def test_calls_in_flight_are_counted_and_fill_its_capacity(server: ServerState) -> None:
    server.began(30)
    assert not server.has_queue
    server.began(10)
    assert server.has_queue
    assert server.expected_seconds(20, rate=5) == (40 + 20) / (5 * 2)
    assert server.expected_seconds(100, rate=5) == 20, "a call is not divided"
    server.ended(30)
    assert (server.in_flight, server.outstanding_seconds, server.calls) == (1, 10, 2)


def test_it_backs_off_longer_with_each_failure_in_a_row(server: ServerState) -> None:
    waits = []
    for _ in range(6):
        server.back_off(0)
        server.retry_at -= 1
        server.failed(is_down=True)
        waits.append(server.retry_at)
        assert not server.is_due
        assert not server.is_healthy
    assert server.failures == 6
    server.succeeded()
    assert server.is_due
    assert server.is_healthy
    assert server.is_proven


def test_calls_that_fail_together_count_as_one_failure(server: ServerState) -> None:
    for _ in range(3):
        server.failed(is_down=False)
    assert server.failures == 1


def test_one_that_is_ready_again_and_fails_the_next_call_needs_a_canary(
    server: ServerState,
) -> None:
    for count in (1, 2):
        server.failed_calls = count
        server.recovered()
        server.failed(is_down=False)
    assert server.needs_canary
    server.recovered()
    assert server.needs_canary, "an answer of /ready is not enough"
    server.succeeded()
    assert not server.needs_canary
