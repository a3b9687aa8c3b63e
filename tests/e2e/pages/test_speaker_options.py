"""Speakers on the pages: asked for with a recording or afterwards, and searched by name."""

import re

import pytest
from bson import ObjectId
from playwright.sync_api import Locator, Page, expect

from stt.domain.claim import WorkerReport
from stt.store.recording_speakers import rename
from stt.store.recordings import MongoRecordings
from stt.store.workers import MongoRoster
from tests.support.conversation import add_conversation
from tests.support.pages import House, drop
from tests.support.queue_builder import START, add_chunks, add_recording
from tests.support.speech import opus_tone

pytestmark = pytest.mark.browser
NONE_FINDS = "No machine at work finds speakers: what asks for them waits for one that does."


def wanted(house: House, recording_id: ObjectId) -> tuple[int | None, int | None]:
    recording = MongoRecordings(house.database).get(recording_id)
    return recording.speakers, recording.max_speakers


def dialog_of(page: Page, action: str) -> Locator:
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("button", name=action).click()
    return page.get_by_role("dialog")


def add_done(house: House, **fields: object) -> ObjectId:
    recording_id = add_recording(
        house.database, filename="talk.opus", duration=30.0, chunk_count=1, start=START,
        created_at=START, ingested_at=START, **fields,
    )  # fmt: skip
    add_chunks(
        house.database, 1, recording_id=recording_id, audio=opus_tone(3), transcribed_at=START,
        transcript={"segments": [{"start": 0.0, "end": 2.0, "text": "Hello."}], "language": "en"},
    )  # fmt: skip
    return recording_id


def test_speakers_are_asked_for_with_the_next_files_which_says_that_no_machine_finds_them(
    page: Page, house: House
) -> None:
    roster = MongoRoster(house.database)
    roster.report("mac_1", WorkerReport(slots=1, finds_speakers=False))
    page.goto("/upload")
    page.get_by_text("Options for the next files").click()
    expect(page.get_by_text(NONE_FINDS)).to_be_visible()
    count = page.get_by_label("How many speak")
    expect(count).to_be_hidden()
    page.get_by_label("Speakers").select_option("found, at most so many speak")
    count.fill("0")
    drop(page, page.locator(".dropzone"), "refused.opus", house.recording)
    assert count.evaluate("field => field.validity.rangeUnderflow")
    expect(page.locator(".uploads > li")).to_have_count(0)
    count.fill("4")
    drop(page, page.locator(".dropzone"), "talk.opus", house.recording)
    row = page.locator(".uploads > li").filter(has_text="talk.opus")
    expect(row.get_by_role("link", name="talk.opus")).to_be_visible()
    stored = house.database.recordings.find_one({"filename": "talk.opus"})
    assert stored is not None
    assert (stored["speakers"], stored["max_speakers"]) == (0, 4)
    page.get_by_label("Channels").select_option("Each by itself")
    assert page.get_by_label("Speakers").evaluate("field => field.validity.customError")
    page.get_by_label("Channels").select_option("Mixed")
    expect(count).to_have_value("4")
    page.get_by_label("Speakers").select_option("not told apart")
    expect(count).to_be_hidden()
    roster.report("new_1", WorkerReport(slots=1, models=("base",), finds_speakers=True))
    roster.report("mac_1", WorkerReport(slots=1, models=("tiny",), finds_speakers=False))
    page.reload()
    offered = page.locator("#fleet-models option")
    expect(offered).to_have_count(2)  # what the machines say has come
    expect(page.get_by_text(NONE_FINDS)).to_have_count(0)


def test_wrong_options_are_shown_where_files_are_dropped_on_another_page(
    page: Page, house: House
) -> None:
    def drop_elsewhere() -> None:
        page.get_by_role("link", name="Search").click()
        expect(page.get_by_role("heading", name="Search")).to_be_visible()
        drop(page, page.locator("h1"), "talk.opus", house.recording)
        expect(page.get_by_role("heading", name="Upload")).to_be_visible()

    page.goto("/upload")
    page.get_by_text("Options for the next files").click()
    speakers, count = page.get_by_label("Speakers"), page.get_by_label("How many speak")
    speakers.select_option("found, so many speak")
    for wrong in ("", "51", ""):
        count.fill(wrong)
        drop_elsewhere()
        expect(count).to_be_focused()
        assert not count.evaluate("field => field.validity.valid")
    count.fill("4")
    page.get_by_label("Channels").select_option("Each by itself")
    drop_elsewhere()
    expect(speakers).to_be_focused()
    assert speakers.evaluate("field => field.validity.customError")
    expect(page.locator(".uploads > li")).to_have_count(0)
    page.get_by_label("Channels").select_option("Mixed")
    drop_elsewhere()
    row = page.locator(".uploads > li").filter(has_text="talk.opus")
    expect(row.get_by_role("link", name="talk.opus")).to_be_visible()
    stored = [recording["speakers"] for recording in house.database.recordings.find({})]
    assert stored == [4]


def test_speakers_are_asked_for_afterwards_and_turned_off(page: Page, house: House) -> None:
    recording_id = add_done(house)
    page.goto(f"/recordings/{recording_id}")
    dialog = dialog_of(page, "Transcribe again")
    expect(dialog.get_by_label("Speakers")).to_have_value("")
    dialog.get_by_label("Speakers").select_option("found, so many speak")
    dialog.get_by_label("How many speak").fill("2")
    dialog.get_by_role("button", name="Transcribe again").click()
    expect(dialog).to_be_hidden()
    assert wanted(house, recording_id) == (2, None)
    assert house.database.chunks.count_documents({"transcribed_at": None}) == 1
    page.reload()
    expect(page.locator(".facts")).to_contain_text("found, 2 speak")
    dialog = dialog_of(page, "Edit")
    expect(dialog.get_by_label("How many speak")).to_have_value("2")
    dialog.get_by_label("Speakers").select_option("found, at most so many speak")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_hidden()
    assert wanted(house, recording_id) == (0, 2)
    expect(page.locator(".facts")).to_contain_text("found, at most 2 speak")
    page.reload()
    dialog = dialog_of(page, "Edit")
    dialog.get_by_label("Speakers").select_option("not told apart")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_hidden()
    assert wanted(house, recording_id) == (None, None)


def test_speakers_of_text_that_is_there_need_it_to_be_transcribed_again(
    page: Page, house: House
) -> None:
    recording_id = add_done(house)
    page.goto(f"/recordings/{recording_id}")
    dialog = dialog_of(page, "Edit")
    expect(dialog).to_contain_text("“Transcribe again” finds speakers in text that is there.")
    dialog.get_by_label("Speakers").select_option("found by their voices")
    dialog.get_by_role("button", name="Save").click()
    note = page.get_by_text("No speakers are known in 1 chunk of the text")
    expect(note).to_be_visible()
    dialog = dialog_of(page, "Transcribe again")
    expect(dialog.get_by_label("Speakers")).to_have_value("auto")
    dialog.get_by_role("button", name="Transcribe again").click()
    expect(note).to_have_count(0)  # It waits for its new text.
    assert house.database.chunks.count_documents({"transcribed_at": None}) == 1


def test_many_are_asked_for_their_speakers_and_those_of_channels_are_left(
    page: Page, house: House
) -> None:
    split, mixed = add_done(house, channels="split"), add_done(house)
    page.goto(f"/recordings/{split}")
    expect(dialog_of(page, "Edit").get_by_label("Speakers")).to_have_count(0)
    page.goto("/recordings")
    page.get_by_label("Select all that are shown").check()
    page.locator(".action-bar").get_by_role("button", name="Transcribe again").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Speakers")).to_have_value("")
    dialog.get_by_label("Speakers").select_option("found by their voices")
    dialog.get_by_role("button", name="Transcribe again").click()
    expect(dialog).to_contain_text("Each of its channels is a speaker already")
    assert wanted(house, mixed) == (0, None)
    assert wanted(house, split) == (None, None)


def test_what_a_speaker_says_is_searched_by_the_name(page: Page, house: House) -> None:
    recording_id = add_conversation(
        house.database, (0.0, 3.0, "A", "The budget is small."), (3.0, 6.0, "B", "The budget?")
    )
    recording = MongoRecordings(house.database).get(recording_id)
    page.goto("/search?q=budget")
    hits = page.locator(".hit")
    expect(hits).to_have_count(2)
    expect(hits.nth(1)).to_contain_text("SPEAKER_02: The budget?")
    rename(house.database, recording, "SPEAKER_01", "Ada <b>")
    page.get_by_label("Speaker").fill("ada <b>")
    page.get_by_role("button", name="Search").click()
    expect(hits).to_have_count(1)
    expect(hits).to_contain_text("Ada <b>: The budget is small.")
    page.get_by_label("Words that were said").fill("")
    page.get_by_role("button", name="Search").click()
    expect(page).to_have_url(re.compile(r"/search\?speaker=ada"))
    expect(hits).to_have_count(1)
    page.get_by_label("Speaker").fill("Eve")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".empty")).to_contain_text("by a speaker with the name Eve")
