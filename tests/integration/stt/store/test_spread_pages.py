"""Where pages begin, in a real database."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from stt.domain.claim import Order, Page
from stt.store import spread_pages
from stt.store.claim_queries import PagePlace, last_start, read_page
from stt.store.database import Database
from tests.support.queue_builder import START, add_chunks

MANY = Order(readers=500)


def indexes(page: Page) -> list[int]:
    return [chunk.index for chunk in page.chunks]


def draw(monkeypatch: pytest.MonkeyPatch, *numbers: float) -> None:
    """Draw these parts of what is drawn from."""
    drawn = iter(numbers)
    uniform = lambda low, high: low + next(drawn) * (high - low)  # noqa: E731
    monkeypatch.setattr(spread_pages, "uniform", uniform)


def begins(database: Database, limit: int, order: Order, times: int) -> Sequence[int]:
    return [spread_pages.read_page(database, limit, order).chunks[0].index for _ in range(times)]


@pytest.mark.parametrize("readers", [1, spread_pages.MIN_READERS - 1])
def test_a_few_workers_read_from_the_front(database: Database, readers: int) -> None:
    add_chunks(database, 30)
    assert begins(database, 5, Order(readers=readers), 3) == [0, 0, 0]


def test_of_many_workers_each_reads_from_another_place(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_chunks(database, 30)
    draw(monkeypatch, 0.0, 0.5, 0.99)
    assert begins(database, 5, MANY, 3) == [0, 13, 29]


def test_no_page_begins_further_behind_than_all_the_pages_reach(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_chunks(database, 100)
    draw(monkeypatch, 0.999)
    [begin] = begins(database, 5, Order(readers=8), 1)
    assert 30 <= begin <= 40


def test_newest_first_begins_before_the_newest(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_chunks(database, 30)
    order = Order(newest_first=True, readers=500)
    draw(monkeypatch, 0.5, 0.99)
    assert indexes(spread_pages.read_page(database, 5, order)) == [16, 15, 14, 13, 12]
    assert begins(database, 5, order, 1) == [0]


def test_a_higher_priority_comes_first_and_pages_stay_within_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_chunks(database, 30)
    add_chunks(database, 20, priority=5)
    draw(monkeypatch, 0.999)
    page = spread_pages.read_page(database, 10, MANY)
    assert {chunk.priority for chunk in page.chunks} == {5}
    # The last of them fit into a page: that is read from the front, and goes on with the others.
    page = spread_pages.read_page(database, 25, MANY)
    assert [chunk.priority for chunk in page.chunks] == [5] * 20 + [0] * 5


def test_a_page_of_another_place_is_not_the_last_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_chunks(database, 30)
    draw(monkeypatch, 0.99)
    page = spread_pages.read_page(database, 5, MANY)
    assert (len(page.chunks), page.is_last, page.next_due_seconds) == (1, False, None)


def test_the_last_page_is_read_from_the_front(database: Database) -> None:
    add_chunks(database, 5)
    page = spread_pages.read_page(database, 5, MANY)
    assert (indexes(page), page.is_last) == ([0, 1, 2, 3, 4], True)


@pytest.mark.parametrize("fields", [{"start": None}, {"start": "yesterday"}, {"priority": "high"}])
def test_chunks_of_other_programs_without_a_time_or_a_priority_are_read_from_the_front(
    database: Database, fields: dict[str, Any]
) -> None:
    add_chunks(database, 20, **fields)
    assert len(spread_pages.read_page(database, 5, MANY).chunks) == 5


def test_chunks_without_a_priority_are_spread_too(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_chunks(database, 30)
    database.chunks.update_many({}, {"$unset": {"priority": True}})
    draw(monkeypatch, 0.5)
    assert begins(database, 5, MANY, 1) == [13]


def test_no_page_begins_among_chunks_that_all_rest(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_chunks(database, 10)
    rest = database.server_time() + timedelta(hours=1)
    database.chunks.update_many({"index": {"$gte": 6}}, {"$set": {"not_before": rest}})
    draw(monkeypatch, 0.99)
    assert begins(database, 5, MANY, 1) == [5]


def test_the_time_of_the_last_chunk_of_a_priority(database: Database) -> None:
    add_chunks(database, 3)
    add_chunks(database, 5, priority=1)
    assert last_start(database, Order(), 0) == START + timedelta(seconds=60)
    assert last_start(database, Order(newest_first=True), 0) == START
    assert last_start(database, Order(), 7) is None
    place = PagePlace(0, START + timedelta(seconds=30))
    assert indexes(read_page(database, 9, Order(), place)) == [1, 2]
