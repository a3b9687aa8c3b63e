"""A recording's page: its text and its name are corrected, and nothing is lost unasked."""

from collections.abc import Iterator

import pytest
from bson import ObjectId
from playwright.sync_api import BrowserContext, Page, expect

from stt.store.database import Database
from stt.store.edits import edit_segment
from tests.support.coordinator_process import running_process
from tests.support.pages import House
from tests.support.recordings_in_queue import post_recording, transcribe

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def house(
    mongo_url: str, shared_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    name, folder = shared_database.chunks.database.name, tmp_path_factory.mktemp("pages")
    with running_process(mongo_url, name, folder) as coordinator:
        yield House(coordinator, shared_database, b"")


@pytest.fixture(autouse=True)
def _emptied(house: House, session: BrowserContext) -> Iterator[None]:
    yield
    for collection in (house.database.chunks, house.database.audio, house.database.recordings):
        collection.delete_many({})


@pytest.fixture
def chunk(page: Page, house: House) -> ObjectId:
    """The chunk of a recording whose page is open."""
    recording_id = post_recording(house.database, 1, filename="REC1.mp3")
    chunk = transcribe(house.database, recording_id, 0, "My name is Jon.", "It is <b>late</b>.")
    page.goto(f"/recordings/{recording_id}")
    expect(page.get_by_role("heading", name="REC1.mp3")).to_be_visible()
    return chunk


def correct(page: Page, line: str, text: str) -> None:
    page.get_by_role("button", name=line).click()
    page.get_by_label("Text", exact=True).fill(text)
    page.get_by_role("button", name="Save").click()


def segment(house: House, chunk: ObjectId) -> dict[str, str]:
    found = house.database.chunks.find_one({"_id": chunk}) or {}
    said: dict[str, str] = found["transcript"]["segments"][0]
    return said


def test_a_line_is_corrected_and_taken_back(page: Page, house: House, chunk: ObjectId) -> None:
    page.get_by_role("button", name="Correct text").click()
    correct(page, "My name is Jon.", "My name is <i>John</i>.")
    line = page.locator(".transcript .line").first
    expect(line).to_contain_text("My name is <i>John</i>. edited")
    expect(line).to_be_focused()
    assert segment(house, chunk)["model_text"] == "My name is Jon."
    line.click()
    page.get_by_role("button", name="Take that").click()
    page.get_by_role("button", name="Save").click()
    expect(line).not_to_contain_text("edited")
    assert "model_text" not in segment(house, chunk)


def test_the_second_of_two_who_correct_a_line_is_told(
    session: BrowserContext, house: House, page: Page, chunk: ObjectId
) -> None:
    tab = session.new_page()  # the browser logs the answer 409 as an error
    tab.goto(page.url)
    tab.get_by_role("button", name="Correct text").click()
    tab.get_by_role("button", name="My name is Jon.").click()
    edit_segment(house.database, chunk, 0, "My name is Joan.", before="My name is Jon.")
    field = tab.get_by_label("Text", exact=True)
    field.fill("My name is John.")
    tab.get_by_role("button", name="Save").click()
    expect(tab.get_by_role("alert")).to_contain_text("It says now: “My name is Joan.”")
    expect(field).to_have_value("My name is John.")
    assert segment(house, chunk)["text"] == "My name is Joan."
    tab.get_by_role("button", name="Save").click()
    expect(tab.locator(".transcript .line").first).to_contain_text("My name is John.")
    tab.close()


def test_to_transcribe_again_asks_before_edits_are_dropped(
    session: BrowserContext, house: House, page: Page, chunk: ObjectId
) -> None:
    edit_segment(house.database, chunk, 0, "Mine.", before="My name is Jon.")
    tab = session.new_page()
    tab.goto(page.url)
    for answer, is_pending in (("Cancel", False), ("Replace edited text", True)):
        tab.get_by_role("button", name="Transcribe again…").click()
        tab.get_by_role("button", name="Transcribe again", exact=True).click()
        expect(tab.get_by_role("dialog")).to_contain_text("1 line was edited")
        tab.get_by_role("button", name=answer).click()
        expect(tab.get_by_role("dialog")).to_be_hidden()
        found = house.database.chunks.find_one({"_id": chunk}) or {}
        assert (found["transcribed_at"] is None) == is_pending
    tab.close()


def test_the_whole_text_is_copied(
    session: BrowserContext, page: Page, house: House, chunk: ObjectId
) -> None:
    session.grant_permissions(["clipboard-read", "clipboard-write"])
    edit_segment(house.database, chunk, 0, "My name is John.", before="My name is Jon.")
    page.get_by_role("button", name="Copy text").click()
    expect(page.get_by_text("The whole text is copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "My name is John.\nIt is <b>late</b>.\n"


def test_a_recording_is_renamed(page: Page, house: House, chunk: ObjectId) -> None:
    page.get_by_role("button", name="Edit…").click()
    page.get_by_role("textbox", name="Name").fill("Interview")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Interview.mp3")).to_be_visible()
