"""No page, dialog or state keeps people out: axe-core finds nothing, in any colours, on any screen.

A new page or state is a line in EMPTY, FILLED or DIALOGS.
"""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.support.axe import findings
from tests.support.full_queue import FullQueue, fill
from tests.support.node_page import node_page
from tests.support.pages import House, log_in

Steps = Callable[[Page], object]
MORE = "[aria-label='More actions']"


@pytest.fixture(scope="module")
def house(idle_house: House) -> House:
    return idle_house


@pytest.fixture(scope="module")
def filled(house: House, session: BrowserContext) -> FullQueue:
    return fill(house.database)


@pytest.fixture(scope="module")
def document(session: BrowserContext) -> Iterator[Page]:
    """One page for all states, which a state is gone to within: to load it costs most of a test."""
    page = session.new_page()
    page.goto("/")
    yield page
    page.close()


@pytest.fixture
def tab(document: Page) -> Iterator[Page]:
    """The page, in which requests may fail; put back to what it was before."""
    yield document
    document.evaluate(
        """() => {
            document.querySelector("#dialog").close();
            document.querySelectorAll(".notice").forEach((each) => each.remove());
            localStorage.clear();
            delete document.documentElement.dataset.theme;
        }"""
    )


def go(page: Page, path: str) -> None:
    """Follow a link, as in the pages: the document stays."""
    page.evaluate(
        """(path) => {
            const link = document.createElement("a");
            link.href = path;
            document.body.append(link);
            link.click();
            link.remove();
        }""",
        path,
    )
    is_ready(page)


def click(name: str | None = None, css: str = "button") -> Steps:
    """Press the first such button, or what `css` says, with this text."""
    return lambda page: page.locator(css, has_text=name).first.click()


def steps(*each: Steps) -> Steps:
    def run(page: Page) -> None:
        for step in each:
            step(page)

    return run


def nothing(_: Page) -> None:
    """A page as it opens."""


def is_shown(text: str) -> Steps:
    return lambda page: expect(page.get_by_text(text).first).to_be_visible()


def is_ready(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)


def refused(page: Page) -> None:
    page.get_by_label("Heartbeat").fill("-1")
    page.locator("form.settings").evaluate("form => { form.noValidate = true }")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_be_visible()


def played(page: Page) -> None:
    page.locator(".transcript .line").nth(1).click()
    expect(page.locator(".transcript .is-playing")).to_have_count(1)


def found(page: Page) -> None:
    page.get_by_label("Find in this recording").fill("harbour")
    expect(page.get_by_text("1 of 6")).to_be_visible()


def lines(page: Page) -> None:
    page.get_by_role("button", name="Lines").click()
    expect(page.locator(".transcript > li")).to_have_count(18)


def counted_speakers(page: Page) -> None:
    page.get_by_text("Options for the next files").click()
    page.get_by_label("Speakers").select_option("found, at most so many speak")
    expect(page.get_by_label("How many speak")).to_be_visible()


def named_like_another(page: Page) -> None:
    page.get_by_role("button", name="Rename SPEAKER_06").click()
    page.get_by_label("Name of SPEAKER_06").fill("SPEAKER_01")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_be_visible()


def select_all(page: Page) -> None:
    page.get_by_label("Select all that are shown").check()
    expect(page.locator(".action-bar")).to_be_visible()


def failing(page: Page) -> None:
    """What the page requests from now on fails."""
    page.context.set_offline(True)
    page.get_by_role("button", name="Log out").click()
    expect(page.locator(".notice.wrong")).to_be_visible()
    page.context.set_offline(False)


EMPTY: dict[str, tuple[str, Steps]] = {
    "start": ("/", nothing),
    "upload": ("/upload", nothing),
    "recordings": ("/recordings", nothing),
    "search": ("/search", nothing),
    "fleet": ("/fleet", nothing),
    "quarantine": ("/quarantine", nothing),
    "no page": ("/", steps(lambda page: page.goto("/nonsense"), is_ready)),
    "no recording": ("/recordings/000000000000000000000000", is_shown("no such recording")),
}
FILLED: dict[str, tuple[str, Steps]] = {
    "start": ("/", is_shown("board meeting.mp3")),
    "upload": ("/upload", is_shown("This recording was here already")),
    "upload options": ("/upload", click("Options for the next files", "summary")),
    "upload options, speakers": ("/upload", counted_speakers),
    "recordings": ("/recordings", is_shown("board meeting.mp3")),
    "recordings, none found": ("/recordings?search=zebra", is_shown("No recording matches")),
    "recordings, filters": ("/recordings?language=en", click("More filters", "summary")),
    "recordings, selected": ("/recordings", select_all),
    "recording": ("done", is_shown("welcome to the harbour")),
    "recording, menu": ("done", click("Download", "summary")),
    "recording, more actions": ("done", click(css=MORE)),
    "recording, speakers": ("spoken", is_shown("SPEAKER_06")),
    "recording, naming a speaker": ("spoken", named_like_another),
    "recording, without speakers": ("open", is_shown("No speakers are known in 1 chunk")),
    "recording, lines": ("spoken", lines),
    "recording, finding": ("spoken", found),
    "recording, correcting": ("done", click("Correct text")),
    "recording, playing": ("done", played),
    "recording, made by": ("done", click("Made by", "summary")),
    "recording, open": ("open", is_shown("being transcribed")),
    "recording, failed": ("failed", is_shown("There is no model large-v3 here.")),
    "recording, cutting": ("cutting", is_shown("being prepared")),
    "recording, silent": ("silent", is_shown("No speech")),
    "search": ("/search?q=harbour", is_shown("Channel 2")),
    "search, a speaker": ("/search?q=harbour&speaker=SPEAKER_01", is_shown("another speaker in")),
    "search, none found": ("/search?q=zebra", is_shown("Not found")),
    "fleet": ("/fleet", is_shown("Old laptop")),
    "fleet, join": ("/fleet", steps(click("Join a machine"), is_shown("Then let it work"))),
    "quarantine": ("/quarantine", click("vanished", "summary")),
    "quarantine, dismissed": ("/quarantine?dismissed=1", is_shown("No failure is dismissed")),
    "settings": ("/settings", nothing),
    "settings, refused": ("/settings", refused),
    "a notice": ("/settings", click(css=".icon")),
    "a failure": ("/settings", failing),
}
DIALOGS: dict[str, tuple[str, Steps]] = {
    "keys": ("done", lambda page: page.keyboard.press("?")),
    "edit": ("done", steps(click(css=MORE), click("Edit"))),
    "transcribe again": ("done", steps(click(css=MORE), click("Transcribe again"))),
    "delete": ("failed", steps(click(css=MORE), click("Delete"))),
    "retry": ("failed", click("Retry")),
    "merge speakers": ("spoken", click("Merge…")),
    "download many": ("/recordings", steps(select_all, click("Download"))),
    "transcribe many again": ("/recordings", steps(select_all, click("Transcribe again"))),
    "delete many": ("/recordings", steps(select_all, click("Delete"))),
    "dismiss all": ("/quarantine", click("Dismiss all")),
    "retry all": ("/quarantine", click("Retry all")),
    "add a node": ("/fleet", click("Add by hand")),
    "a node's key": (
        "/fleet",
        steps(
            click("Add by hand"),
            lambda page: page.get_by_label("Name").fill("By hand"),
            click("Add", "dialog [type=submit]"),
            is_shown("It is shown this once"),
        ),
    ),
    "edit a node": ("/fleet", click("Edit")),
    "remove a node": ("/fleet", click("Remove")),
}


@pytest.mark.browser
@pytest.mark.parametrize("state", EMPTY)
def test_an_empty_queue(tab: Page, state: str) -> None:
    path, show = EMPTY[state]
    go(tab, path)
    show(tab)
    assert not findings(tab)


@pytest.mark.browser
@pytest.mark.parametrize("state", FILLED)
def test_a_queue_with_everything_in_it(tab: Page, filled: FullQueue, state: str) -> None:
    path, show = FILLED[state]
    go(tab, getattr(filled, path, path))
    show(tab)
    assert not findings(tab)


@pytest.mark.browser
@pytest.mark.parametrize("state", DIALOGS)
def test_a_dialog(tab: Page, filled: FullQueue, state: str) -> None:
    path, show = DIALOGS[state]
    go(tab, getattr(filled, path, path))
    show(tab)
    expect(tab.get_by_role("dialog")).to_be_visible()
    assert not findings(tab)


@pytest.mark.browser
def test_the_menu_of_a_phone(tab: Page) -> None:
    tab.set_viewport_size({"width": 390, "height": 900})
    go(tab, "/settings")
    tab.get_by_role("button", name="Menu").click()
    assert not findings(tab)


@pytest.mark.browser
def test_the_way_in(browser: Browser, house: House) -> None:
    context = browser.new_context(base_url=house.url)
    page = context.new_page()
    page.goto("/")
    assert not findings(page)
    log_in(page, "not the key")
    expect(page.get_by_role("alert")).to_be_visible()
    assert not findings(page)
    context.close()


@pytest.mark.browser
def test_the_page_of_a_node(browser: Browser) -> None:
    with node_page(browser, {"detail": "Out of memory."}) as page:
        assert not findings(page)
