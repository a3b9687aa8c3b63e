"""The pages, without a worker behind them: each state of the queue is written into the database."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.support.pages import House


@pytest.fixture(scope="module")
def house(idle_house: House) -> House:
    return idle_house


@pytest.fixture(autouse=True)
def _emptied(house: House, session: BrowserContext) -> Iterator[None]:
    yield
    house.empty()


@pytest.fixture
def tab(session: BrowserContext) -> Iterator[Page]:
    """A tab of a test in which requests fail: the browser logs each as an error."""
    page = session.new_page()
    yield page
    page.close()
