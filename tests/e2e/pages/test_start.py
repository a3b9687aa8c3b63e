"""The pages "Start", "Fleet" and "Settings": what waits for whom, figures, machines, words.

No worker is beside the coordinator: each state of the queue is written into the database.
"""

import pytest
from playwright.sync_api import Page, expect

from stt.domain.claim import WorkerReport
from stt.store.workers import MongoRoster
from tests.support.pages import House, drop
from tests.support.queue_builder import START, add_chunks, add_recording

NAME = "talk <b>one</b>.mp3"


@pytest.mark.browser
def test_the_start_shows_the_latest_recordings_and_that_they_wait_for_a_machine(
    page: Page, house: House
) -> None:
    page.goto("/")
    expect(page.get_by_text("Nothing here yet")).to_be_visible()
    expect(page.get_by_text("No machine is at work: what you add waits for one.")).to_be_visible()
    add_chunks(house.database, 27, recording_id=add_recording(house.database, filename=NAME))
    row = page.locator(".latest > li").filter(has_text=NAME)
    expect(row).to_contain_text("waiting")
    expect(row).to_contain_text("0 of 27 chunks")
    waits = page.get_by_role("listitem").filter(has_text="no machine is at work")
    expect(waits).to_contain_text("27 chunks wait, and no machine is at work.")
    waits.get_by_role("link", name="Join one").click()
    expect(page.get_by_role("button", name="Join a machine")).to_be_visible()
    assert page.url == f"{house.url}/fleet"


@pytest.mark.browser
def test_the_start_says_which_model_is_missing_what_failed_and_how_long_it_takes(
    page: Page, house: House
) -> None:
    database = house.database
    add_chunks(database, 2, recording_id=add_recording(database, model="large-v3 <b>"))
    add_chunks(database, 1, recording_id=add_recording(database), failed_at=START, attempts=3)
    MongoRoster(database).report("mac_1", WorkerReport(slots=1, missing_models=("large-v3 <b>",)))
    page.goto("/")
    notes = page.get_by_role("list", name="What waits").get_by_role("listitem")
    expect(notes).to_have_count(3)
    expect(notes.nth(0)).to_contain_text(
        "2 chunks wait for the model large-v3 <b>, which no machine has."
    )
    expect(notes.nth(1)).to_contain_text("1 chunk failed.")
    expect(notes.nth(1).get_by_role("link")).to_have_attribute("href", "/quarantine")
    expect(notes.nth(2)).to_contain_text("2 chunks waiting · 1 machine at work")


@pytest.mark.browser
def test_files_dropped_on_the_start_are_sent(page: Page, house: House) -> None:
    page.goto("/")
    drop(page, page.locator(".dropzone"), "dropped.opus", house.recording)
    expect(page.get_by_role("heading", name="Upload")).to_be_visible()
    expect(page.locator(".uploads > li")).to_contain_text("dropped.opus")
    page.get_by_role("link", name="Start").click()
    expect(page.locator(".latest > li").filter(has_text="dropped.opus")).to_be_visible()


@pytest.mark.browser
def test_the_former_address_of_the_machines_leads_to_the_fleet(page: Page, house: House) -> None:
    page.goto("/nodes?x=1")
    expect(page.get_by_role("heading", level=1)).to_have_text("Fleet")
    assert page.url == f"{house.url}/fleet?x=1"
    for heading in ("Queue", "Machines", "Throughput of the last day", "Latest failures"):
        expect(page.get_by_role("heading", name=heading)).to_be_visible()


@pytest.mark.browser
def test_settings_have_a_persons_words_a_list_of_languages_and_save_in_sight(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 600})
    page.goto("/settings")
    language = page.get_by_label("Language")
    expect(language).to_have_value("")
    expect(language).to_have_accessible_description("What is spoken in them.")
    expect(page.get_by_role("heading", level=2)).to_have_text(["New recordings", "Machines"])
    save = page.get_by_role("button", name="Save")
    expect(save).to_be_in_viewport()
    expect(save).to_be_disabled()
    language.select_option("German")
    expect(page.get_by_text("1 change not saved yet")).to_be_in_viewport()
    save.click()
    expect(page.get_by_text("All is saved")).to_be_visible()
    page.reload()
    expect(language).to_have_value("de")
    page.get_by_role("button", name="back to detected").click()
    expect(language).to_have_value("")
    save.click()
    expect(page.get_by_text("All is saved")).to_be_visible()
    assert page.get_by_text("_").count() == 0


@pytest.mark.browser
def test_a_model_that_no_machine_has_is_said_before_it_is_asked_for(
    page: Page, house: House
) -> None:
    roster = MongoRoster(house.database)
    roster.report("mac_1", WorkerReport(slots=1, models=("base", "large-v3")))
    recording_id = add_recording(house.database, filename=NAME, model="huge", chunk_count=1)
    add_chunks(house.database, 1, recording_id=recording_id, failed_at=START, attempts=3)
    missing = "No machine at work has it: what asks for it waits. There is base, large-v3."
    page.goto("/quarantine")
    page.get_by_role("button", name=f"Retry {NAME}").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text(missing)).to_be_visible()
    dialog.get_by_label("Model").fill("base")
    expect(dialog.get_by_text(missing)).to_have_count(0)
    page.goto("/settings")
    page.get_by_label("Model").fill("tiny")
    expect(page.get_by_text(missing)).to_be_visible()
    options = page.locator("#fleet-models option")
    assert options.evaluate_all("all => all.map((one) => one.value)") == ["base", "large-v3"]
    page.get_by_role("button", name="Undo").click()
    roster.report("old_1", WorkerReport(slots=1))  # an older one, which does not say
    with page.expect_response("**/api/workers"):
        page.goto("/upload")
    page.get_by_text("Options for the next files").click()
    page.get_by_label("Model").fill("tiny")
    expect(page.get_by_text(missing)).to_have_count(0)
