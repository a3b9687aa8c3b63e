"""Which keys are judged, and when, by what was tried from the same address."""

import time

import pytest

from stt.serving import key_throttle
from stt.serving.key_throttle import KeyThrottle, network_of, wait_after

HOST = "10.0.0.1"


def test_the_wait_doubles_up_to_a_minute() -> None:
    waits = [wait_after(failures) for failures in range(14)]
    assert waits == [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert wait_after(10**9) == 60


def test_guesses_make_their_own_address_wait() -> None:
    throttle = KeyThrottle()
    waits = [throttle.record_wrong(f"guess {number}", HOST) for number in range(12)]
    assert waits[:4] == [0] * 4
    assert 0 < waits[-1] <= 60
    assert throttle.seconds_until_allowed(HOST) > 0
    assert throttle.seconds_until_allowed("10.0.0.2") == 0


def test_the_same_wrong_key_is_one_guess() -> None:
    throttle = KeyThrottle()
    assert [throttle.record_wrong("old", HOST) for _ in range(50)] == [0] * 50
    assert throttle.is_repeated("old", HOST)
    assert not throttle.is_repeated("old", "10.0.0.2")


def test_failures_are_forgotten_an_hour_after_the_latest(monkeypatch: pytest.MonkeyPatch) -> None:
    throttle, now = KeyThrottle(), time.monotonic()
    for number in range(12):
        throttle.record_wrong(f"guess {number}", HOST)
    monkeypatch.setattr(time, "monotonic", lambda: now + 3_700)
    assert [throttle.record_wrong(f"mistyped {number}", HOST) for number in range(4)] == [0] * 4
    assert throttle.record_wrong("again", HOST) == 1


def test_a_right_key_is_known_at_its_own_address() -> None:
    throttle = KeyThrottle()
    throttle.record_right("right", HOST)
    assert throttle.seconds_since_right("right", HOST) is not None
    assert throttle.seconds_since_right("right", "10.0.0.2") is None
    assert throttle.seconds_since_right("other", HOST) is None


def test_no_flood_of_guesses_makes_a_right_key_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_throttle, "_MAX_ENTRIES", 100)
    throttle = KeyThrottle()
    throttle.record_right("right", HOST)
    for number in range(1_000):
        throttle.record_wrong(f"guess {number}", f"10.0.{number // 250}.{number % 250}")
    assert throttle.seconds_since_right("right", HOST) is not None
    assert len(throttle._wrong) == len(throttle._failures) == 100


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::"),
        ("2001:db8::ffff", "2001:db8::"),
        ("2001:db8:0:1::1", "2001:db8:0:1::"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("unknown", "unknown"),
        ("x" * 500, "x" * 100),
    ],
)
def test_a_client_is_an_address_or_the_network_of_one_customer(address: str, network: str) -> None:
    assert network_of(address) == network
