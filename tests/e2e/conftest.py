"""Fixtures for tests in a real browser: a module's coordinator, and a person who is logged in."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from stt.store.database import Database
from tests.support.chromium import chromium
from tests.support.coordinator_process import running_process
from tests.support.pages import WAIT_MS, House, log_in, said
from tests.support.scripted_server import ScriptedServer
from tests.support.speech import opus_tone
from tests.support.worker_process import worker_processes


@pytest.fixture(scope="module")
def house(
    mongo_url: str, shared_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    name, folder = shared_database.chunks.database.name, tmp_path_factory.mktemp("pages")
    with (
        ScriptedServer(said).running() as server,
        worker_processes(mongo_url, name) as workers,
        running_process(mongo_url, name, folder) as coordinator,
    ):
        workers.start(
            server.url, "--watch", "--workers", "1", "--empty-queue-wait", "0.5",
            "--border-seconds", "0",
        )  # fmt: skip
        yield House(coordinator, shared_database, opus_tone(70))


@pytest.fixture(scope="module")
def idle_house(
    mongo_url: str, shared_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """Without a worker: what is sent waits."""
    name, folder = shared_database.chunks.database.name, tmp_path_factory.mktemp("pages")
    with running_process(mongo_url, name, folder) as coordinator:
        yield House(coordinator, shared_database, opus_tone(3))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=WAIT_MS)
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def session(browser: Browser, house: House) -> Iterator[BrowserContext]:
    """A browser that is logged in, as a person does it."""
    context = browser.new_context(base_url=house.url)
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    page.goto("/recordings")
    log_in(page)
    expect(page.get_by_role("heading", name="Recordings")).to_be_visible()
    page.close()
    yield context
    context.close()


@pytest.fixture
def page(session: BrowserContext) -> Iterator[Page]:
    """A new tab; whatever it logs as an error fails the test."""
    page = session.new_page()
    errors: list[str] = []
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: errors.append(f"a dialog opened: {dialog.message}"))
    yield page
    page.close()
    assert errors == []
