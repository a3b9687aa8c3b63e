"""How busy the server is, and how much it does."""

import pytest

from whisper_server.load_measures import Average, Gauge


def test_a_gauge_counts_who_is_within_it_also_after_an_error() -> None:
    gauge = Gauge()
    with gauge, gauge:
        assert gauge.value == 2
    with pytest.raises(LookupError), gauge:
        raise LookupError
    assert gauge.value == 0


def test_an_average_is_that_of_all_values_of_late() -> None:
    average = Average()
    assert average.ratio is None
    for _ in range(50):
        average.add(30.0, 10.0)
    assert average.ratio == pytest.approx(3.0)
    for _ in range(500):
        average.add(10.0, 10.0)
    assert average.ratio == pytest.approx(1.0, abs=0.01)


def test_time_that_did_nothing_yet_has_no_ratio_and_counts_later() -> None:
    average = Average()
    average.add(0.0, 10.0)
    assert average.ratio is None
    average.add(30.0, 10.0)
    assert average.ratio == pytest.approx(1.5, abs=0.05)
