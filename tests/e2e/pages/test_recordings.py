"""The list of recordings and the quarantine: found, and changed; no worker is beside them."""

import re
import zipfile
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from playwright.sync_api import Page, Route, expect

from stt.store.database import Database
from stt.store.edits import edit_segment
from stt.store.states import TRANSCRIBED
from tests.support.pages import House
from tests.support.queue_builder import START, add_chunks, add_recording
from tests.support.recordings_in_queue import post_recording, set_chunk, transcribe
from tests.support.speech import opus_tone

pytestmark = pytest.mark.browser


def add_talks(database: Database, count: int = 3) -> list[str]:
    """Add recordings of a folder, transcribed, the first one in German and a day earlier."""
    ids = []
    for number in range(count):
        id_ = post_recording(
            database, 1, filename=f"talk {number}.mp3", folder="talks", path=f"talk {number}.mp3",
            duration=60.0 * (number + 1), start=START + timedelta(days=min(number, 1)),
        )  # fmt: skip
        transcribe(database, id_, 0, f"Text {number}.", language="en" if number else "de")
        ids.append(id_)
    return ids


def shown(page: Page) -> list[str]:
    return [name.strip() for name in page.locator(".recordings-list tbody .name").all_inner_texts()]


def test_a_filter_is_in_the_address_and_back_and_links_keep_it(page: Page, house: House) -> None:
    add_talks(house.database)
    post_recording(house.database, 1, filename="other.mp3")
    page.goto("/recordings")
    rows = page.locator(".recordings-list tbody tr")
    expect(rows).to_have_count(4)
    page.get_by_text("More filters").click()
    page.get_by_label("Folder").select_option("talks (3)")
    expect(rows).to_have_count(3)
    page.get_by_label("Minutes at most").fill("2")
    page.get_by_label("Minutes at most").press("Enter")
    expect(rows).to_have_count(2)
    page.get_by_label("Order").select_option("Longest first")
    expect(rows.first).to_contain_text("talk 1.mp3")
    expect(page).to_have_url(re.compile(r"folder=talks&max=2&sort=-length$"))
    page.get_by_role("link", name="talk 1.mp3").click()
    expect(page.get_by_role("heading", name="talk 1.mp3")).to_be_visible()
    page.go_back()
    expect(rows).to_have_count(2)
    expect(page.get_by_label("Folder")).to_have_value("talks")
    page.reload()
    expect(page.get_by_text("More filters (2)")).to_be_visible()
    expect(rows).to_have_count(2)
    assert shown(page) == ["talk 1.mp3", "talk 0.mp3"]
    page.get_by_role("button", name="Clear all filters").click()
    expect(rows).to_have_count(4)
    page.goto("/recordings?language=de")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("talks · German · tiny")


def test_a_day_is_one_of_this_machine_and_what_can_be_no_filter_is_none(
    page: Page, house: House
) -> None:
    add_talks(house.database)
    rows = page.locator(".recordings-list tbody tr")
    page.goto("/recordings?recorded_from=2025-12-31&recorded_to=2026-01-01")
    expect(rows).to_have_count(1)
    page.goto("/recordings?recorded_from=2026-01-03")
    expect(page.get_by_text("No recording matches.")).to_be_visible()
    page.get_by_role("button", name="Show all recordings").click()
    expect(rows).to_have_count(3)
    page.goto("/recordings?state=odd&sort=odd&min=-1&added_to=9999-99-99")
    expect(rows).to_have_count(3)


def test_words_are_searched_for_in_the_recordings_that_match(page: Page, house: House) -> None:
    add_talks(house.database)
    page.goto("/search?q=text")
    hits = page.locator(".hit")
    expect(hits).to_have_count(3)
    page.get_by_text("More filters").click()
    page.get_by_label("Recorded from").fill("2026-01-02")
    expect(hits).to_have_count(2)
    expect(page).to_have_url(re.compile(r"q=text&recorded_from=2026-01-02$"))
    page.reload()
    expect(hits).to_have_count(2)
    page.goto("/search?q=text&folder=none")
    expect(page.get_by_text("transcribed so far of the recordings that match")).to_be_visible()
    page.get_by_role("button", name="Clear all filters").click()
    expect(hits).to_have_count(3)


def test_what_was_said_last_month_is_found_by_one_button(page: Page, house: House) -> None:
    add_talks(house.database)
    page.clock.set_fixed_time("2026-02-15T12:00:00")
    page.goto("/search?q=text&recorded_to=2025-01-01")
    page.get_by_text("More filters").click()
    page.get_by_role("button", name="Last month").click()
    expect(page).to_have_url(re.compile(r"recorded_from=2026-01-01&recorded_to=2026-01-31$"))
    expect(page.locator(".hit").first).to_be_visible()


def test_a_heading_sorts_one_way_and_then_the_other(page: Page, house: House) -> None:
    add_talks(house.database)
    page.goto("/recordings")
    page.get_by_role("columnheader", name="Length").get_by_role("button").click()
    expect(page.locator("tbody tr").first).to_contain_text("talk 2.mp3")
    page.get_by_role("columnheader", name="Length").get_by_role("button").click()
    expect(page.locator("tbody tr").first).to_contain_text("talk 0.mp3")
    expect(page.get_by_role("columnheader", name="Length")).to_have_attribute(
        "aria-sort", "ascending"
    )


def test_selected_recordings_are_downloaded_in_one_file(page: Page, house: House) -> None:
    add_talks(house.database)
    page.goto("/recordings")
    page.get_by_label("Select talk 0.mp3").check()
    page.get_by_label("Select talk 2.mp3").click(modifiers=["Shift"])
    expect(page.locator(".action-bar")).to_contain_text("3 selected")
    page.get_by_label("Select talk 1.mp3").uncheck()
    page.get_by_role("button", name="Download").click()
    page.get_by_label("Subtitles (srt)").check()
    with page.expect_download() as started:
        page.get_by_role("dialog").get_by_role("button", name="Download").click()
    with zipfile.ZipFile(started.value.path()) as archive:
        assert archive.namelist() == ["talks/talk 0.srt", "talks/talk 2.srt"]
        assert b"Text 2." in archive.read("talks/talk 2.srt")


def test_all_that_match_are_selected_and_deleted_also_those_that_are_not_shown(
    page: Page, house: House
) -> None:
    kept = post_recording(house.database, 1, filename="other.mp3")
    for number in range(53):
        post_recording(house.database, 0, filename=f"talk {number}.mp3")
    page.goto("/recordings?search=talk")
    page.get_by_label("Select all that are shown").check()
    expect(page.locator(".action-bar")).to_contain_text("50 selected")
    page.get_by_role("button", name="Select all 53").click()
    expect(page.locator(".action-bar")).to_contain_text("53 selected")
    page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("53 recordings, with their audio and their transcripts")
    dialog.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("53 recordings deleted")).to_be_visible()
    expect(page.get_by_text("No recording matches.")).to_be_visible()
    assert [str(one["_id"]) for one in house.database.recordings.find({})] == [kept]


def test_selected_recordings_are_transcribed_again_and_those_that_cannot_be_say_why(
    page: Page, house: House
) -> None:
    ids = add_talks(house.database)
    set_chunk(house.database, ids[1], 0, audio_removed_at=START)
    page.goto("/recordings")
    page.get_by_label("Select all that are shown").check()
    page.get_by_role("button", name="Transcribe again").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Model").fill("large-v3")
    dialog.get_by_role("button", name="Transcribe again").click()
    expect(dialog).to_contain_text("1 recording left as they are")
    expect(dialog.get_by_role("listitem")).to_contain_text("talk 1.mp3")
    dialog.get_by_role("button", name="Done").click()
    expect(page.locator(".action-bar")).to_have_count(0)
    found = house.database.recordings.find({"model": "large-v3"}).sort("_id")
    assert [str(one["_id"]) for one in found] == [ids[0], ids[2]]
    assert house.database.chunks.count_documents({"transcribed_at": None}) == 2


def test_edits_are_dropped_only_after_a_question(page: Page, house: House) -> None:
    ids = add_talks(house.database, 2)
    chunk = house.database.chunks.find_one({"original_id": ObjectId(ids[0])})
    assert chunk is not None
    edit_segment(house.database, chunk["_id"], 0, "Better.", before="Text 0.")
    page.goto("/recordings")
    for answer, transcribed in (("Cancel", 1), ("Drop the edits", 0)):
        page.get_by_label("Select all that are shown").check()
        page.get_by_role("button", name="Transcribe again").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("button", name="Transcribe again").click()
        expect(dialog).to_contain_text("People have edited the text of 1 recording.")
        dialog.get_by_role("button", name=answer).click()
        expect(page.locator(".action-bar")).to_have_count(0)
        assert house.database.chunks.count_documents(TRANSCRIBED) == transcribed


def add_failed(database: Database, count: int = 1, kind: str = "bad_audio", **fields: Any) -> Any:
    fault = {"at": START, "worker": "a_1", "kind": kind, "message": "no <i>Ogg</i>"}
    recording_id = add_recording(database, duration=30.0 * count, chunk_count=count, **fields)
    return add_chunks(
        database,
        count,
        recording_id=recording_id,
        audio=opus_tone(2),
        failed_at=START,
        attempts=3,
        errors=[fault],
    )


def test_a_failure_says_what_happened_and_is_dismissed_and_put_back(
    page: Page, house: House
) -> None:
    [chunk_id] = add_failed(house.database, filename="bad.mp3")
    page.goto("/quarantine")
    row = page.locator(".quarantined > li")
    expect(row).to_contain_text("The audio of this part cannot be read. Listen to it.")
    expect(row).to_contain_text("no <i>Ogg</i>")
    expect(page.locator("#menu .count")).to_have_text("1")
    page.get_by_role("button", name="Dismiss bad.mp3").click()
    expect(page.get_by_text("Nothing is here.")).to_be_visible()
    expect(page.locator("#menu .count")).to_have_count(0)
    page.get_by_role("link", name="Show 1 dismissed chunk").click()
    expect(page.get_by_role("heading", name="Dismissed")).to_be_visible()
    page.get_by_role("link", name="bad.mp3").click()
    page.get_by_role("link", name="1 failed chunk").click()
    page.get_by_role("button", name="Put back bad.mp3").click()
    expect(page.get_by_text("No failure is dismissed.")).to_be_visible()
    page.locator("main").get_by_role("link", name="Quarantine").click()
    expect(row).to_have_count(1)
    found = house.database.chunks.find_one({"_id": chunk_id})
    assert found is not None
    assert "dismissed_at" not in found


def test_all_are_dismissed_at_once_and_a_recording_is_deleted(page: Page, house: House) -> None:
    add_failed(house.database, 3, filename="bad.mp3")
    add_failed(house.database, 55, "expired", filename="long.mp3")
    page.goto("/quarantine")
    page.get_by_role("button", name="Show more").click()
    rows = page.locator(".quarantined > li")
    expect(rows).to_have_count(58)
    page.get_by_role("button", name="Delete recording bad.mp3").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(rows).to_have_count(55)
    page.get_by_role("button", name="Dismiss all").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("55 chunks stay failed")
    dialog.get_by_role("button", name="Dismiss all").click()
    expect(page.get_by_text("Nothing is here.")).to_be_visible()
    assert house.database.recordings.count_documents({"filename": "bad.mp3"}) == 0


def test_large_numbers_keep_clear_of_the_state(page: Page, house: House) -> None:
    post_recording(house.database, 1, filename="all day.mp3")

    def enlarge(route: Route) -> None:
        answer = route.fetch()
        found = answer.json()
        counts = {"transcribed": 234_568, "processing": 0, "pending": 345_679, "failed": 111_111}
        found["recordings"][0] |= {"counts": counts, "chunk_count": sum(counts.values())}
        route.fulfill(response=answer, json=found)

    page.route("**/api/recordings?*", enlarge)
    page.goto("/recordings")
    words, badge = page.locator(".progress-cell small"), page.locator(".recordings-list .badge")
    expect(words).to_have_text("234,568 of 691,358 chunks · 111,111 failed")
    end = words.evaluate("words => words.getBoundingClientRect().right")
    assert end < badge.evaluate("badge => badge.getBoundingClientRect().left")
    page.unroute_all(behavior="wait")
