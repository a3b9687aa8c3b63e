"""Since when chunks have been reserved, by a clock of the test's own."""

from unittest.mock import Mock

import pytest
from bson import ObjectId

from stt.coordinator.reservations import Reservations
from stt.domain.chunk import Chunk
from stt.domain.claim import Page

CHUNKS = tuple(Chunk(ObjectId(), None, index) for index in range(3))
PAGE = Page(CHUNKS, is_last=True)
FIRST, SECOND, THIRD = (chunk.id for chunk in CHUNKS)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Mock:
    clock = Mock(return_value=100.0)
    monkeypatch.setattr("stt.coordinator.reservations.time.monotonic", clock)
    return clock


def test_only_the_first_chunks_are_reserved_and_for_thirty_seconds(clock: Mock) -> None:
    reserved = Reservations()
    assert reserved.overdue(PAGE, 2) == set()
    clock.return_value = 129.9
    assert reserved.overdue(PAGE, 2) == set()
    clock.return_value = 130.0
    assert reserved.overdue(PAGE, 2) == {FIRST, SECOND}
    assert reserved.overdue(PAGE, 3) == {FIRST, SECOND}


def test_a_chunk_that_comes_to_the_front_later_has_its_own_time(clock: Mock) -> None:
    reserved = Reservations()
    reserved.overdue(Page(CHUNKS[:1], is_last=True), 1)
    clock.return_value = 120.0
    reserved.overdue(PAGE, 2)
    clock.return_value = 131.0
    assert reserved.overdue(PAGE, 2) == {FIRST}


def test_a_chunk_that_was_taken_meanwhile_is_forgotten_after_a_minute(clock: Mock) -> None:
    reserved = Reservations()
    reserved.overdue(PAGE, 1)
    for second in (159.0, 161.0):
        clock.return_value = second
        overdue = reserved.overdue(Page(CHUNKS[1:], is_last=True), 1)
        assert (FIRST in overdue) == (second < 160), second
    assert reserved.overdue(PAGE, 1) == set()
