"""Times for people."""

import pytest

from stt.cli.formatting import clock, span


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0s"),
        (45.4, "45s"),
        (60, "1m 00s"),
        (725, "12m"),
        (11_100, "3h 05m"),
        (187_200, "2d 4h"),
    ],
)
def test_spans_of_time_read_well(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (123.4, "2:03"), (3723, "1:02:03")])
def test_lengths_of_recordings_read_as_a_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text
