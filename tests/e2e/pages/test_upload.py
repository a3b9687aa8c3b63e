"""Files that are sent from the pages: as a batch, from any page, and on after a break."""

import base64
import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Request, Route, expect

from stt.store.database import Database
from tests.support.pace import until
from tests.support.pages import House, drop
from tests.support.queue_builder import START, add_chunks, add_recording
from tests.support.recordings import babble, write_wav
from tests.support.tus import append, begin

pytestmark = pytest.mark.browser
FINGERPRINT = """async (content) => {
    const { fingerprintOf } = await import("/static/file_identity.js");
    return fingerprintOf(new File([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], ""));
}"""
UNREADABLE = """
    const read = Blob.prototype.arrayBuffer;
    Blob.prototype.arrayBuffer = function () {
        const gone = new DOMException("gone", "NotReadableError");
        return window.isUnreadable ? Promise.reject(gone) : read.call(this);
    };
"""
FAULT = {"at": START, "worker": "a_1", "kind": "refused", "message": "no model"}


def add_uploads(database: Database, names: dict[str, str]) -> None:
    """Add uploads whose recordings are done, waiting, or failed."""
    for name, state in names.items():
        recording_id = add_recording(database, filename=name, duration=30.0, chunk_count=1)
        fields: dict[str, dict[str, Any]] = {
            "done": {"transcribed_at": START},
            "failed": {"failed_at": START, "errors": [FAULT]},
        }
        add_chunks(database, 1, recording_id=recording_id, **fields.get(state, {}))
        database.uploads.insert_one(
            {"filename": name, "state": "done", "source_id": recording_id, "bytes": 10}
        )


def test_many_files_are_one_batch(page: Page, house: House) -> None:
    states = {f"talk {i:02}.mp3": "done" for i in range(41)}
    states |= {f"late {i:02}.mp3": "waiting" for i in range(16)}
    states |= {f"bad {i}.mp3": "failed" for i in range(3)}
    add_uploads(house.database, states)
    page.goto("/upload")
    batch, rows = page.locator(".batch"), page.locator(".uploads > li")
    expect(batch).to_contain_text("41 of 60 done · 3 failed")
    batch.get_by_role("button", name="Only failed").click()
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("Why it failed")
    batch.get_by_role("button", name="Clear finished").click()
    expect(batch).to_contain_text("0 of 19 done · 3 failed")
    batch.get_by_role("button", name="Retry failed").click()
    expect(rows).to_have_count(19)
    expect(batch).to_contain_text("0 of 19 done")
    expect(batch).not_to_contain_text("failed")
    assert house.database.recordings.count_documents({}) == 60


@pytest.mark.parametrize("address", ["/", "/recordings", "/settings"])
def test_files_may_be_dropped_on_any_page(page: Page, house: House, address: str) -> None:
    page.goto(address)
    expect(page.locator(".connection")).to_have_text("Live")
    drop(page, page.locator("h1"), "dropped.opus", house.recording)
    expect(page.get_by_role("heading", name="Upload")).to_be_visible()
    expect(page.locator(".uploads > li").filter(has_text="dropped.opus")).to_have_attribute(
        "data-state", "waiting"
    )


def test_a_transfer_goes_on_by_itself_after_a_break(tab: Page, house: House) -> None:
    page = tab
    broken: list[str] = []

    def break_twice(route: Route) -> None:
        if route.request.method == "PATCH" and len(broken) < 2:
            broken.append(route.request.url)
            route.abort()
        else:
            route.fallback()

    page.route("**/api/uploads/*", break_twice)
    page.goto("/upload")
    drop(page, page.locator(".dropzone"), "broken.opus", house.recording)
    row = page.locator(".uploads > li").filter(has_text="broken.opus")
    expect(row).to_contain_text("It goes on by itself.")
    expect(row).to_have_attribute("data-state", "waiting")
    assert len(set(broken)) == 1
    assert house.database.uploads.count_documents({}) == 1


def test_a_file_that_is_chosen_again_goes_on_where_its_page_was_closed(
    tab: Page, house: House, tmp_path: Path
) -> None:
    page, file = tab, tmp_path / "long.opus"
    file.write_bytes(house.recording)
    page.goto("/upload")
    fingerprint = page.evaluate(FINGERPRINT, base64.b64encode(house.recording).decode())
    os.utime(file, (START.timestamp(), START.timestamp()))
    size, half = len(house.recording), len(house.recording) // 2
    with house.coordinator.person() as person:
        path = begin(person, size, "long.opus", modified=START.isoformat(), fingerprint=fingerprint)
        append(person, path, 0, house.recording[:half])
    house.database.uploads.update_one(
        {}, {"$set": {"state": "interrupted", "received_bytes": half}}
    )
    rows = page.locator(".uploads > li")
    expect(rows).to_have_attribute("data-state", "interrupted")
    expect(rows).to_contain_text("Choose the same file again")
    parts: list[str] = []

    def note(request: Request) -> None:
        if request.method == "PATCH":
            parts.append(request.headers["upload-offset"])

    page.on("request", note)
    page.locator("#files").set_input_files(file)
    expect(rows).to_have_count(1)
    expect(rows).to_have_attribute("data-state", "waiting")
    assert parts[-1] == str(half)
    recording = until(lambda: house.database.recordings.find_one({}))
    assert recording["filename"] == "long.opus"


def namesakes(folder: Path) -> list[Path]:
    """Write two files of one name, size and time, with other contents."""
    files = [folder / name / "REC1.wav" for name in "ab"]
    for number, file in enumerate(files):
        file.parent.mkdir()
        write_wav(file, babble(2.0, number))
        os.utime(file, (START.timestamp(), START.timestamp()))
    return files


def test_two_files_of_one_name_size_and_time_are_two_recordings_and_one_twice_is_one(
    tab: Page, house: House, tmp_path: Path
) -> None:
    page, files = tab, namesakes(tmp_path)
    assert files[0].stat().st_size == files[1].stat().st_size
    page.route("**/api/uploads/*", lambda route: route.abort())
    page.goto("/upload")
    rows = page.locator(".uploads > li")
    for file, count in zip((*files, files[1]), (1, 2, 2), strict=True):
        page.locator("#files").set_input_files(file)
        expect(rows).to_have_count(count)
    expect(page.get_by_text("On their way already: 1 file.").first).to_be_visible()
    page.unroute("**/api/uploads/*")
    until(lambda: house.database.recordings.count_documents({"ingested_at": {"$ne": None}}) == 2)


def test_a_file_that_cannot_be_read_keeps_no_other_from_being_sent(
    tab: Page, house: House, tmp_path: Path
) -> None:
    page, files = tab, namesakes(tmp_path)
    page.add_init_script(UNREADABLE)
    page.route("**/api/uploads/*", lambda route: route.abort())
    page.goto("/upload")
    rows = page.locator(".uploads > li")
    page.locator("#files").set_input_files(files[0])
    expect(rows).to_contain_text("It goes on by itself.")
    page.evaluate("window.isUnreadable = true")
    page.locator("#files").set_input_files(files[1])
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("The file cannot be read any more")
    expect(page.locator(".notice")).to_have_count(0)
    page.evaluate("window.isUnreadable = false")
    page.unroute("**/api/uploads/*")
    with page.expect_request("**/api/uploads?*") as sent:
        rows.first.get_by_role("button", name="Try again").click()
    assert "fingerprint=" in sent.value.url
    until(lambda: house.database.recordings.count_documents({"ingested_at": {"$ne": None}}) == 2)


def test_a_notification_is_shown_when_all_is_done_and_only_if_it_was_asked_for(
    tab: Page, house: House
) -> None:
    """Also where the last change is missed: the page asks by itself until all is done."""
    page = tab
    missed: list[Route] = []

    def miss(route: Route) -> None:
        missed.append(route)
        route.abort()

    page.route("**/api/recordings?id=*", miss)
    page.add_init_script(  # the page's waits take a tenth of their time
        "window.waits = []; const wait = setTimeout;"
        "window.setTimeout = (done, ms) => { waits.push(ms); return wait(done, ms / 10); };"
    )
    page.add_init_script(
        "window.shown = [];"
        "window.Notification = class { constructor(title, { body }) { shown.push([title, body]); }"
        " static permission = 'granted'; static requestPermission = async () => 'granted'; };"
    )
    page.goto("/upload")
    page.get_by_text("Options for the next files").click()
    switch = page.get_by_label("Show a notification")
    expect(switch).not_to_be_checked()
    expect(page.get_by_label("Play a sound")).not_to_be_checked()
    switch.check()
    drop(page, page.locator(".dropzone"), "noted.opus", house.recording)
    rows = page.locator(".uploads > li")
    until(lambda: house.database.recordings.count_documents({"ingested_at": {"$ne": None}}))
    expect(rows).to_have_attribute("data-state", "loading")
    assert page.evaluate("shown") == []
    page.get_by_role("link", name="Search").click()
    done = {"$set": {"transcript": {"segments": []}}, "$currentDate": {"transcribed_at": True}}
    page.evaluate("waits.splice(0)")
    house.database.chunks.update_many({}, done)
    missed.clear()
    until(lambda: page.evaluate("true") and len(missed) > 2)
    page.wait_for_function(  # ever more seldom since the status has changed
        "() => waits.filter((ms) => ms && ms % 5_000 === 0).join().includes('5000,10000,20000')"
    )
    page.unroute("**/api/recordings?id=*")
    until(lambda: page.evaluate("shown.length"))
    assert page.evaluate("shown") == [["Your recordings are transcribed", "1 done"]]
    page.evaluate("localStorage.clear()")


def test_nothing_is_said_of_a_recording_that_is_not_loaded_yet(tab: Page, house: House) -> None:
    add_uploads(house.database, {"bad.mp3": "failed"})
    tab.route("**/api/recordings?*", lambda route: route.abort())
    tab.goto("/upload")
    row = tab.locator(".uploads > li")
    expect(row).to_have_attribute("data-state", "loading")
    expect(row).to_contain_text("Prepared. How far its transcription is")
    expect(row.get_by_role("button")).to_have_count(0)
    expect(tab.locator(".batch [aria-busy=true]")).to_have_count(1)
    tab.unroute("**/api/recordings?*")
    expect(row).to_have_attribute("data-state", "failed")
    expect(tab.locator(".batch [aria-busy=true]")).to_have_count(0)


def test_a_file_that_fails_is_tried_again_with_the_others(tab: Page, house: House) -> None:
    page = tab
    full = {"error": {"code": "out_of_space", "message": "The disk is <b>full</b>."}}
    page.route("**/api/uploads?*", lambda route: route.fulfill(status=507, json=full))
    page.goto("/upload")
    drop(page, page.locator(".dropzone"), "full.opus", house.recording)
    drop(page, page.locator(".dropzone"), "paper.wav", b"no sound in here")
    rows, batch = page.locator(".uploads > li"), page.locator(".batch")
    expect(batch).to_contain_text("0 of 2 done · 2 failed")
    expect(rows.filter(has_text="full.opus")).to_contain_text("The disk is <b>full</b>.")
    page.unroute("**/api/uploads?*")
    batch.get_by_role("button", name="Retry failed").click()
    expect(rows.filter(has_text="full.opus")).to_have_attribute("data-state", "waiting")
    expect(rows.filter(has_text="paper.wav")).to_contain_text("not audio")
    rows.filter(has_text="paper.wav").get_by_role("button", name="Try again").click()
    expect(rows.filter(has_text="paper.wav")).to_contain_text("not audio")
    rows.filter(has_text="paper.wav").get_by_role("button", name="Clear").click()
    expect(rows).to_have_count(1)
