"""What a screen reader reads aloud: answers, notices and errors once, and nothing that changes."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from stt.domain.claim import WorkerReport
from stt.store.workers import MongoRoster
from tests.support.full_queue import FullQueue, fill
from tests.support.pages import House
from tests.support.queue_builder import START, add_chunks, add_recording
from tests.support.recordings_in_queue import post_recording

pytestmark = pytest.mark.browser
LISTEN = """
    window.heard = [];
    const regions = "[aria-live], [role=status], [role=alert], [role=log], output";
    const isHeard = (node) => {
        const region = (node.nodeType === 1 ? node : node.parentElement)?.closest(regions);
        return region && region.getAttribute("aria-live") !== "off";
    };
    new MutationObserver((changes) => {
        for (const { type, target, addedNodes } of changes) {
            const nodes = type === "characterData" ? [target] : addedNodes;
            const texts = [...nodes].filter(isHeard).map((node) => node.textContent.trim());
            window.heard.push(...texts.filter(Boolean));
        }
    }).observe(document, { subtree: true, childList: true, characterData: true });
"""


@pytest.fixture
def tab(session: BrowserContext) -> Iterator[Page]:
    """A tab in which requests may fail."""
    page = session.new_page()
    page.add_init_script(LISTEN)
    yield page
    page.close()


def heard(page: Page) -> list[str]:
    """What was read aloud since this was asked last."""
    texts: list[str] = page.evaluate("heard.splice(0)")
    return texts


CHANGES = {  # what each page shows of the last changes
    "/": ("3 chunks waiting · 4 machines at work", "0 of 3 chunks"),
    "/recordings": ("7 recordings", "0 of 3 chunks"),
    "/fleet": ("15 chunks", "4 machines", "new_1"),
    "/upload": ("Transfer from elsewhere: 5 bytes of 9 MB",),
    "open": (),
}


@pytest.mark.parametrize("name", [*CHANGES, "done"])
def test_what_changes_by_itself_is_not_read_aloud(tab: Page, house: House, name: str) -> None:
    filled: FullQueue = fill(house.database)
    tab.goto(getattr(filled, name, name))
    expect(tab.get_by_role("heading", level=1)).to_be_visible()
    expect(tab.get_by_text("Live", exact=True)).to_be_visible()
    expect(tab.locator("[aria-busy=true]")).to_have_count(0)
    heard(tab)
    house.database.chunks.update_many(
        {"transcribed_at": None}, {"$set": {"transcribed_at": START, "failed_at": None}}
    )
    new = add_recording(house.database, filename="new.mp3", duration=30.0, chunk_count=3)
    add_chunks(house.database, 3, recording_id=new)
    MongoRoster(house.database).report("new_1", WorkerReport(host="new", slots=1))
    house.database.uploads.update_many({"state": "receiving"}, {"$set": {"received_bytes": 5}})
    if name == "done":
        tab.get_by_role("button", name="Play", exact=True).click()
        expect(tab.locator("#controls .time")).not_to_contain_text("0:00 /")
    else:
        for text in CHANGES[name]:
            expect(tab.locator("#page")).to_contain_text(text)
        if name == "open":
            expect(tab.locator("#page .badge").first).to_have_text("done")
    assert heard(tab) == []


def test_an_answer_is_read_once_and_what_comes_in_later_is_not(tab: Page, house: House) -> None:
    for name in ("talk.mp3", "call.mp3"):
        post_recording(house.database, 1, filename=name)
    tab.goto("/recordings")
    summary = tab.locator(".summary")
    expect(summary).to_have_text("2 recordings")
    heard(tab)
    tab.get_by_label("Search by name").fill("talk")
    expect(summary).to_have_text("1 recording")
    assert heard(tab) == ["1 recording"]
    post_recording(house.database, 1, filename="talk 2.mp3")
    expect(summary).to_have_text("2 recordings")
    assert heard(tab) == []


def test_a_notice_and_an_error_are_read_once(tab: Page, house: House) -> None:
    post_recording(house.database, 1, filename="talk.mp3")
    tab.goto("/recordings")
    expect(tab.get_by_text("Live", exact=True)).to_be_visible()
    heard(tab)
    tab.get_by_label("Select talk.mp3").check()
    tab.get_by_role("button", name="Delete").click()
    tab.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(tab.get_by_text("No recording")).to_be_visible()
    assert [text for text in heard(tab) if "deleted" in text] == ["1 recording deleted×"]
    tab.route("**/logout", lambda route: route.abort())  # only this: the list is loaded again
    tab.get_by_role("button", name="Log out").click()
    expect(tab.locator(".notice.wrong")).to_be_visible()
    wrong = tab.locator(".notice.wrong").inner_text().split("\n")[0]
    assert sum(wrong in text for text in heard(tab)) == 1


@pytest.mark.parametrize("address", ["/upload", "/settings", "/search"])
def test_a_region_is_rendered_while_it_is_empty(tab: Page, address: str) -> None:
    """Else it comes into the accessibility tree with its text, which is not read aloud then."""
    tab.goto(address)
    expect(tab.locator("[aria-busy=true]")).to_have_count(0)
    if address == "/upload":
        tab.get_by_text("Options for the next files").click()
    boxes = tab.evaluate(
        """() => [...document.querySelectorAll("[aria-live], [role=status]")]
            .filter((region) => !region.textContent.trim())
            .map((region) => region.getClientRects().length)"""
    )
    assert len(boxes) >= 2
    assert all(boxes)
