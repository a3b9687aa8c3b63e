"""The pages by keyboard alone: tab stops, keys, and where the focus is after a change.

No worker is beside the coordinator: each state of the queue is written into the database.
"""

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.support.pages import House
from tests.support.queue_builder import START, add_chunks, add_recording
from tests.support.speech import opus_tone

LINES = 400


@pytest.fixture(scope="module")
def house(idle_house: House) -> House:
    return idle_house


@pytest.fixture(scope="module")
def recording(house: House) -> str:
    """The address of a recording of one chunk with many lines, and its audio."""
    recording_id = add_recording(
        house.database, filename="long.opus", duration=30.0, chunk_count=1, ingested_at=START
    )
    segments = [
        {"start": i * 0.05, "end": i * 0.05 + 0.04, "text": f"line {i}"} for i in range(LINES)
    ]
    add_chunks(
        house.database, 1, recording_id=recording_id, audio=opus_tone(30), transcribed_at=START,
        transcript={"segments": segments, "language": "en"},
    )  # fmt: skip
    return f"/recordings/{recording_id}"


@pytest.mark.browser
def test_a_long_transcript_is_one_tab_stop_with_arrow_keys(page: Page, recording: str) -> None:
    page.goto(recording)
    lines = page.locator(".transcript .line")
    expect(lines).to_have_count(LINES)
    assert page.locator(".transcript .line:not([tabindex='-1'])").count() == 1
    page.get_by_label("Find in this recording").focus()
    page.keyboard.press("Tab")
    expect(lines.first).to_be_focused()
    for key, index in (
        ("ArrowDown", 1), ("ArrowDown", 2), ("ArrowUp", 1), ("PageDown", 11), ("End", LINES - 1),
        ("ArrowDown", LINES - 1), ("PageUp", LINES - 11), ("Home", 0), ("ArrowDown", 1),
    ):  # fmt: skip
        page.keyboard.press(key)
        expect(lines.nth(index)).to_be_focused()
        expect(lines.nth(index)).to_be_in_viewport(ratio=1)
    page.keyboard.press("Tab")
    expect(page.locator(".transcript .line:focus")).to_have_count(0)
    page.keyboard.press("Shift+Tab")
    expect(lines.nth(1)).to_be_focused()


@pytest.mark.browser
def test_lines_are_copied_without_their_times(
    page: Page, recording: str, session: BrowserContext
) -> None:
    session.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(recording)
    lines = page.locator(".transcript .line")
    expect(lines).to_have_count(LINES)
    page.evaluate(
        """() => {
            const [first, , third] = document.querySelectorAll(".transcript .line");
            const range = document.createRange();
            range.setStart(first, 0);
            range.setEnd(third, third.childNodes.length);
            getSelection().addRange(range);
        }"""
    )
    page.keyboard.press("Control+C")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.split() == ["line", "0", "line", "1", "line", "2"]


@pytest.mark.browser
def test_space_and_arrows_play_and_single_characters_search_and_list_the_keys(
    page: Page, recording: str
) -> None:
    page.goto(recording)
    expect(page.locator(".transcript .line")).to_have_count(LINES)
    page.locator("body").press("ArrowRight")
    expect(page.get_by_text("0:10 / 0:30")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_text("0:00 / 0:30")).to_be_visible()
    page.locator(".transcript .line").first.focus()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Play or pause")
    page.keyboard.press("/")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    field = page.get_by_role("searchbox")
    expect(field).to_be_focused()
    page.keyboard.type("a / b?")
    expect(field).to_have_value("a / b?")
    expect(dialog).to_have_count(0)


@pytest.mark.browser
def test_single_characters_can_be_turned_off(page: Page) -> None:
    page.goto("/settings")
    page.get_by_role("button", name="Keyboard shortcuts").click()
    page.get_by_label("Shortcuts of a single character").uncheck()
    page.get_by_role("button", name="Done").click()
    page.locator("body").press("/")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_have_text("Settings")
    page.evaluate("localStorage.clear()")


@pytest.mark.browser
def test_the_focus_goes_on_to_what_stands_in_the_place_of_what_is_gone(
    page: Page, house: House
) -> None:
    ids = []
    for name in ("one.mp3", "two.mp3", "three.mp3"):
        recording_id = add_recording(house.database, filename=name, chunk_count=1)
        ids += add_chunks(house.database, 1, recording_id=recording_id, failed_at=START, attempts=3)
    page.goto("/quarantine")
    rows = page.locator(".quarantined > li")
    expect(rows).to_have_count(3)
    retry = rows.nth(1).get_by_role("button", name="Retry")
    retry.focus()
    page.keyboard.press("Enter")
    expect(rows).to_have_count(2)
    expect(rows.nth(1).get_by_role("button", name="Retry")).to_be_focused()
    house.database.chunks.delete_many({"_id": {"$in": ids}})


@pytest.mark.browser
def test_back_leads_to_the_link_that_was_followed(page: Page, recording: str) -> None:
    page.goto("/recordings")
    link = page.get_by_role("link", name="long.opus")
    link.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="long.opus")).to_be_visible()
    expect(page.get_by_role("main")).to_be_focused()
    expect(page.get_by_role("main")).to_have_accessible_name("long.opus")
    page.go_back()
    expect(link).to_be_focused()


@pytest.mark.browser
def test_keys_work_where_a_switch_has_the_focus_and_not_where_text_is_typed(
    page: Page, recording: str
) -> None:
    page.goto("/recordings")
    field, box = page.get_by_label("Search by name"), page.get_by_label("Select all that are shown")
    box.check()
    box.press("/")
    expect(field).to_be_focused()
    field.press("/")
    expect(field).to_have_value("/")
