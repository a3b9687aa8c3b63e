"""Offers of chunks to workers that wait."""

from bson import ObjectId

from stt.coordinator.offers import Offers
from stt.domain.chunk import Chunk

CHUNKS = [Chunk(ObjectId(), ObjectId(b"recording..."), n, duration=30.0) for n in range(5)]


def test_each_run_is_offered_once() -> None:
    offers = Offers()
    found = [[chunk.index for chunk in offers.offer(CHUNKS, 60.0, 10)] for _ in range(4)]
    assert found == [[0, 1], [2, 3], [4], []]


def test_a_run_is_no_longer_than_a_share() -> None:
    assert len(Offers().offer(CHUNKS, 600.0, 3)) == 3


def test_what_is_not_offered_is_free() -> None:
    offers = Offers()
    assert offers.free(CHUNKS) == tuple(CHUNKS)
    offers.offer(CHUNKS, 60.0, 10)
    assert offers.free(CHUNKS) == tuple(CHUNKS[2:])
