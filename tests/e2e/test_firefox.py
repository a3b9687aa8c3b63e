"""A walk through the pages in Firefox; the other tests of pages have Chromium.

One walk, for the browser's start is most of what it costs. Whatever a page logs as an error fails
it: also what the Content-Security-Policy forbids.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.test_pages import PAGES
from tests.support.firefox import firefox
from tests.support.pace import until
from tests.support.pages import WAIT_MS, House, heard_at

pytestmark = pytest.mark.browser
# Where no loudspeaker is, Firefox has an error for what is not muted.
_MUTE = """
const play = HTMLMediaElement.prototype.play;
HTMLMediaElement.prototype.play = function () {
    this.muted = true;
    return play.call(this);
};
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=WAIT_MS)
    with firefox() as browser:
        yield browser


def test_a_recording_is_sent_watched_heard_corrected_and_found(
    page: Page, house: House, tmp_path: Path
) -> None:
    page.add_init_script(_MUTE)
    send(page, house, tmp_path)
    play(page)
    press_keys(page)
    correct(page)
    search(page)


def send(page: Page, house: House, folder: Path) -> None:
    """Choose a file, and see it transcribed without loading the page again."""
    file = folder / "harbour.opus"
    file.write_bytes(house.recording)
    page.goto("/upload")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.locator("#files").set_input_files(file)
    row = page.get_by_role("listitem").filter(has_text="harbour.opus")
    expect(row).to_have_attribute("data-state", "done")
    page.get_by_role("link", name="Recordings").click()
    expect(page.get_by_role("row").filter(has_text="harbour.opus")).to_contain_text("3 of 3 chunks")
    page.get_by_role("link", name="harbour.opus").click()
    expect(page.locator(".transcript .line")).to_have_count(6)


def play(page: Page) -> None:
    """Hear the place of a line that is clicked."""
    line = page.locator(".transcript .line").nth(3)
    line.click()
    until(lambda: heard_at(page)[1] > 4)
    expect(line).to_have_attribute("aria-current", "true")
    # After an error Firefox may play on: the page says that it does not, so it must not.
    page.locator(".player audio").first.dispatch_event("error")
    page.locator(".player audio").last.dispatch_event("error")
    expect(page.get_by_role("alert")).to_have_text("This piece of audio cannot be played here.")
    assert heard_at(page) == ("", 0)


def press_keys(page: Page) -> None:
    page.locator("body").press("Space")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    line = page.locator(".transcript .line")
    line.nth(1).focus()
    page.keyboard.press("ArrowDown")
    expect(line.nth(2)).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Play or pause")
    page.keyboard.press("Escape")
    expect(line.nth(2)).to_be_focused()


def correct(page: Page) -> None:
    page.get_by_role("button", name="Correct text").click()
    page.locator(".transcript .line").nth(0).click()
    page.get_by_label("Text", exact=True).fill("The lighthouse.")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".transcript .line").first).to_contain_text("The lighthouse. edited")


def search(page: Page) -> None:
    page.get_by_role("link", name="Search").click()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("lighthouse")
    page.keyboard.press("Enter")
    expect(page.locator(".hit mark")).to_have_text("lighthouse")
    page.locator(".hit").click()
    expect(page.locator(".transcript .is-playing")).to_be_focused()


def test_settings_are_saved(page: Page, house: House) -> None:
    page.goto("/settings")
    field = page.get_by_label("Hotwords")
    field.fill("Zermatt")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    page.reload()
    expect(field).to_have_value("Zermatt")
    with house.coordinator.person() as person:
        assert person.patch("/api/options", json={"default_hotwords": None}).ok


@pytest.mark.parametrize("address", PAGES)
def test_every_page_opens(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.get_by_role("heading", level=1)).to_have_text(PAGES[address])
    expect(page.locator(".connection")).to_have_text("Live")
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
