"""Pages of a long queue that begin at different places for the workers of a large fleet.

Hundreds of workers that all read the page at the front of the queue claim the same chunks: of those
that it holds a few workers win all, and the others miss. So each page begins at a random time among
the chunks of the highest priority, no further behind the front than all the workers' pages would
reach. The time is a range of the index: a page costs the same wherever it begins.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from random import uniform
from typing import Protocol

from stt.domain.claim import Order, Page
from stt.store import claim_queries
from stt.store.claim_queries import PagePlace
from stt.store.database import Database

MIN_READERS = 8
"""With fewer workers, pages begin at the front: a page has runs enough for all of them."""


class _Read(Protocol):
    def __call__(self, limit: int, order: Order, begin: PagePlace | None = None) -> Page: ...


_LastStart = Callable[[Order, int | None], datetime | None]


def read_page(database: Database, limit: int, order: Order) -> Page:
    """Return up to `limit` chunks that may be claimed now; with `order.readers`, of any place.

    A queue of one page, and chunks of a priority that end within the page, are read from the front.
    Raises DatabaseUnavailable.
    """
    read = partial(claim_queries.read_page, database)
    return spread_page(limit, order, read, partial(claim_queries.last_start, database))


def spread_page(limit: int, order: Order, read: _Read, last_start: _LastStart) -> Page:
    """Do what `read_page` does, with these two functions in place of the database."""
    front = read(limit, order)
    if front.is_last or order.readers < MIN_READERS:
        return front
    place = _place(front, order, last_start)
    if place is None:
        return front
    page = read(limit, order, place)
    return replace(page, is_last=False, next_due_seconds=None) if page.chunks else front


def _place(front: Page, order: Order, last_start: _LastStart) -> PagePlace | None:
    """Return where to begin; None for the front, also where chunks have no times to go by."""
    first, last = front.chunks[0], front.chunks[-1]
    if first.priority != last.priority or first.start is None or last.start is None:
        return None
    end = last_start(order, first.priority)
    if end is None:
        return None
    # All are negative with `newest_first`.
    page_seconds = (last.start - first.start).total_seconds()
    all_seconds = (end - first.start).total_seconds()
    reach = min(order.readers * page_seconds, all_seconds, key=abs)
    # From a page before the front, which stands for the front: so no chunk is read more rarely.
    offset = uniform(-page_seconds, reach)
    if offset * page_seconds <= 0:
        return None
    return PagePlace(first.priority, first.start + timedelta(seconds=offset))
