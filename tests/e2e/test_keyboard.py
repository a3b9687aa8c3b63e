"""The pages by keyboard alone: tab stops, keys, and where the focus is after a change.

No worker is beside the coordinator: each state of the queue is written into the database.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from stt.store.database import Database
from tests.support.coordinator_process import running_process
from tests.support.pages import House
from tests.support.queue_builder import START, add_chunks, add_recording
from tests.support.speech import opus_tone

LINES = 400


@pytest.fixture(scope="module")
def house(
    mongo_url: str, shared_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    name, folder = shared_database.chunks.database.name, tmp_path_factory.mktemp("pages")
    with running_process(mongo_url, name, folder) as coordinator:
        yield House(coordinator, shared_database, opus_tone(3))


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
    page.get_by_label("Speed").focus()
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
