"""Recordings that are added while a worker runs."""

from bson import ObjectId

from stt.worker.arrivals import Arrivals
from stt.worker.context import WorkOptions


def test_each_recording_is_listed_once_and_the_order_follows() -> None:
    arrivals, options = Arrivals(), WorkOptions(recordings=(ObjectId(),))
    first, second = ObjectId(), ObjectId()
    arrivals.add(first)
    growing = WorkOptions(arrivals=arrivals)
    arrivals.add(second, first)
    assert growing.order.recordings == (first, second)
    assert options.order.recordings == options.recordings
    assert not arrivals.has_ended
    arrivals.end()
    assert arrivals.has_ended
