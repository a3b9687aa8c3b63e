"""Pages never show what is not so: nothing stale, nothing lost, failures with their reasons.

No worker is beside the coordinator: each state of the queue is written into the database.
"""

import os
import re
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from playwright.sync_api import BrowserContext, Page, Route, expect

from stt.coordinator.store.nodes import NodeRegistry
from stt.domain.claim import WorkerReport
from stt.store.database import Database
from stt.store.recordings import MongoRecordings
from stt.store.workers import MongoRoster
from tests.support.coordinator_process import running_process
from tests.support.pace import scaled, until
from tests.support.pages import House, drop, heard_at
from tests.support.queue_builder import START, add_chunks, add_recording
from tests.support.speech import opus_tone

PUBLIC_URL = "https://stt.example.org"
FAULT = {"at": START, "worker": "a_1", "kind": "refused", "message": "no model <i>large</i> here"}


@pytest.fixture(scope="module")
def house(
    mongo_url: str, shared_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    name, folder = shared_database.chunks.database.name, tmp_path_factory.mktemp("pages")
    with running_process(mongo_url, name, folder, STT_PUBLIC_URL=PUBLIC_URL) as coordinator:
        yield House(coordinator, shared_database, opus_tone(3))


@pytest.fixture(autouse=True)
def _emptied(house: House, session: BrowserContext) -> Iterator[None]:
    yield
    house.empty()


def said(*texts: str) -> dict[str, Any]:
    segments = [
        {"start": 2.0 * i, "end": 2.0 * i + 1.5, "text": text} for i, text in enumerate(texts)
    ]
    return {"segments": segments, "language": "en"}


def add_transcribed(database: Database, count: int, **fields: Any) -> ObjectId:
    """Add a recording whose chunks have two lines each, and the audio of the first ones."""
    recording_id = add_recording(
        database, duration=30.0 * count, chunk_count=count, ingested_at=START, **fields
    )
    add_chunks(
        database, count, recording_id=recording_id, transcribed_at=START,
        transcript=said("one line", "another line"),
    )  # fmt: skip
    return recording_id


def add_failed(database: Database, **fields: Any) -> ObjectId:
    recording_id = add_recording(database, duration=30.0, chunk_count=1, **fields)
    add_chunks(database, 1, recording_id=recording_id, failed_at=START, attempts=3, errors=[FAULT])
    return recording_id


@pytest.fixture
def unchecked(session: BrowserContext) -> Iterator[Page]:
    """A tab of a test in which requests fail: the browser logs each as an error."""
    page = session.new_page()
    yield page
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize(("answer", "chunks"), [("abort", 11), ("500", 13)])
def test_a_page_whose_load_fails_is_not_called_live_and_loads_until_it_succeeds(
    unchecked: Page, house: House, answer: str, chunks: int
) -> None:
    page = unchecked
    page.goto("/recordings")
    expect(page.get_by_text("No recordings yet.")).to_be_visible()
    expect(page.locator(".connection")).to_have_text("Live")

    def fail(route: Route) -> None:
        if answer == "abort":
            route.abort()
        else:
            route.fulfill(status=500, body="{}")

    page.route("**/api/recordings?*", fail)
    recording_id = add_recording(house.database, filename="new.mp3")
    add_chunks(house.database, chunks, recording_id=recording_id)
    expect(page.locator(".connection")).to_have_text("Outdated")
    page.unroute("**/api/recordings?*")
    expect(page.get_by_role("link", name="new.mp3")).to_be_visible()
    expect(page.locator(".connection")).to_have_text("Live")


@pytest.mark.browser
def test_a_page_is_up_to_date_again_after_the_network_was_away(
    unchecked: Page, house: House
) -> None:
    page = unchecked
    page.goto("/recordings")
    expect(page.get_by_text("No recordings yet.")).to_be_visible()
    expect(page.locator(".connection")).to_have_text("Live")
    page.context.set_offline(True)
    recording_id = add_recording(house.database, filename="meanwhile.mp3")
    add_chunks(house.database, 17, recording_id=recording_id)
    expect(page.locator(".connection")).not_to_have_text("Live")
    page.context.set_offline(False)
    expect(page.get_by_role("link", name="meanwhile.mp3")).to_be_visible()
    expect(page.locator(".connection")).to_have_text("Live")


@pytest.mark.browser
def test_the_outdated_state_fits_the_head_of_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 700})
    page.route_web_socket("**/ws/dashboard", lambda socket: None)
    page.clock.install()
    page.goto("/settings")
    page.clock.run_for(20_000)
    expect(page.locator(".connection")).to_have_text("Outdated")
    menu, state = page.get_by_role("button", name="Menu"), page.locator(".connection")
    boxes = [box for box in (menu.bounding_box(), state.bounding_box()) if box]
    middles = [box["y"] + box["height"] / 2 for box in boxes]
    assert abs(middles[0] - middles[1]) < 10


@pytest.mark.browser
def test_a_page_whose_first_load_fails_shows_its_data_in_the_end(
    unchecked: Page, house: House
) -> None:
    failed: list[str] = []

    def fail_once(route: Route) -> None:
        if failed:
            route.fallback()
        else:
            failed.append(route.request.url)
            route.abort()

    unchecked.route("**/api/options", fail_once)
    unchecked.goto("/settings")
    expect(unchecked.get_by_label("Heartbeat")).to_be_visible()
    assert failed


@pytest.mark.browser
def test_a_connection_that_brings_nothing_is_not_called_live(page: Page) -> None:
    page.route_web_socket("**/ws/dashboard", lambda socket: None)  # open, and silent
    page.clock.install()
    page.goto("/settings")
    expect(page.locator(".connection")).to_have_text("Live")
    page.clock.run_for(20_000)
    expect(page.locator(".connection")).to_have_text("Outdated")


@pytest.mark.browser
def test_the_progress_of_all_uploads_is_shown_and_that_nobody_works_on_them(
    page: Page, house: House
) -> None:
    for number in range(60):
        filename = f"talk {number}.mp3"
        recording_id = add_recording(house.database, filename=filename, chunk_count=2)
        add_chunks(house.database, 1, recording_id=recording_id, transcribed_at=START)
        add_chunks(house.database, 1, recording_id=recording_id, index=1)
        house.database.uploads.insert_one(
            {"filename": filename, "state": "done", "source_id": recording_id, "bytes": 10}
        )
    page.goto("/upload")
    rows = page.locator(".uploads > li")
    expect(rows).to_have_count(60)
    expect(rows.filter(has_text="Transcription: 1 of 2 chunks")).to_have_count(60)
    expect(rows.last).to_have_attribute("data-state", "waiting")
    expect(rows.last).to_contain_text("No machine is at work")


@pytest.mark.browser
def test_a_failed_recording_says_why_and_is_retried_with_another_model(
    page: Page, house: House
) -> None:
    recording_id = add_failed(house.database, filename="bad.mp3", model="large")
    page.goto("/recordings")
    row = page.get_by_role("row").filter(has_text="bad.mp3")
    expect(row).to_contain_text("0 of 1 chunk · 1 failed")
    expect(row.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "0")
    expect(row.locator(".state-bar rect")).to_have_class(["failed"])
    row.get_by_role("link", name="bad.mp3").click()
    expect(page.locator(".failures")).to_contain_text("no model <i>large</i> here")
    page.get_by_role("link", name="All in the quarantine").click()
    page.get_by_role("button", name="Retry bad.mp3").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("asks for the model large")
    dialog.get_by_label("Model").fill("base")
    dialog.get_by_role("button", name="Retry").click()
    expect(page.get_by_text("Nothing is here.")).to_be_visible()
    recording = MongoRecordings(house.database).details(recording_id)
    assert (recording.model, recording.counts.pending) == ("base", 1)


@pytest.mark.browser
def test_chunks_that_wait_for_a_model_are_shown_with_the_fleet(page: Page, house: House) -> None:
    model = "large-v3 <b>"
    add_chunks(house.database, 2, recording_id=add_recording(house.database, model=model))
    report = WorkerReport(slots=1, missing_models=(model,))
    MongoRoster(house.database).report("mac_1", report)
    page.goto("/fleet")
    expect(page.locator(".tile.wide .wrong")).to_have_text(
        "2 chunks wait for the model large-v3 <b>, which no machine has"
    )


@pytest.mark.browser
def test_a_machine_is_shown_with_the_model_that_it_has_loaded(page: Page, house: House) -> None:
    registry, roster = NodeRegistry(house.database), MongoRoster(house.database)
    nodes = [registry.add(name, "Linux")[0] for name in ("Free", "Told")]
    registry.change(nodes[1].id, {"model": "large-v3"})
    for node in nodes:
        roster.report(f"{node.id}_1", WorkerReport(slots=1, chunks=("1",), models=("tiny.en",)))
    roster.report("box_1", WorkerReport(host="box", slots=1, models=("base",)))
    page.goto("/fleet")
    cards = page.get_by_role("article").filter(has=page.get_by_text("Last heartbeat"))
    expect(cards.filter(has_text="Free")).to_contain_text("tiny.en, its own choice")
    expect(cards.filter(has_text="Free")).not_to_contain_text("chunk")  # of the last heartbeat
    expect(cards.filter(has_text="Told")).to_contain_text("large-v3; loaded: tiny.en")
    expect(page.get_by_role("row").filter(has_text="box_1")).to_contain_text("base")


@pytest.mark.browser
def test_the_fleet_shows_the_latest_failures(page: Page, house: House) -> None:
    add_failed(house.database, filename="bad.mp3")
    page.goto("/fleet")
    failures = page.get_by_role("listitem").filter(has_text="bad.mp3")
    expect(failures).to_contain_text("no model <i>large</i> here")


@pytest.mark.browser
@pytest.mark.parametrize("has_audio", [True, False])
def test_a_found_place_is_the_line_that_was_found(
    page: Page, house: House, has_audio: bool
) -> None:
    """Also where another line begins at nearly the same time, and where the audio was removed."""
    recording_id = add_recording(house.database, filename="tone.opus", duration=30.0, chunk_count=1)
    segments = [
        {"start": start, "end": start + 3.0, "text": text}
        for start, text in ((0.0, "one"), (8.994, "giraffe"), (9.0, "two"), (12.0, "three"))
    ]
    removed = {} if has_audio else {"audio_removed_at": START}
    add_chunks(
        house.database, 1, recording_id=recording_id, audio=opus_tone(30), transcribed_at=START,
        transcript={"segments": segments}, **removed,
    )  # fmt: skip
    page.goto("/search?q=giraffe")
    page.locator(".hit").click()
    line = page.locator(".transcript .line.is-playing")
    expect(line).to_contain_text("giraffe")
    expect(line).to_be_focused()


@pytest.mark.browser
def test_back_leads_to_the_place_in_a_list(page: Page, house: House) -> None:
    for number in range(120):
        add_recording(house.database, filename=f"talk {number:03}.mp3", ingested_at=START)
    page.goto("/recordings")
    for count in (50, 100):
        expect(page.locator(".recordings-list tbody tr")).to_have_count(count)
        page.get_by_role("button", name="Show more").click()
    link = page.get_by_role("link", name="talk 010.mp3")
    link.scroll_into_view_if_needed()
    place = page.evaluate("scrollY")
    assert place > 1_000
    link.click()
    expect(page.get_by_role("heading", name="talk 010.mp3")).to_be_visible()
    assert page.evaluate("scrollY") == 0
    page.go_back()
    expect(link).to_be_in_viewport()
    assert page.evaluate("scrollY") == place


SHOW = """async ([address, shown, key]) => {
    const began = performance.now();
    history.pushState({ key }, "", address);
    dispatchEvent(new PopStateEvent("popstate"));
    while (!document.querySelector(shown)) await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    return (performance.now() - began) / 1_000;
}"""
"""Go to an address of the pages; return after how many seconds an element is shown there."""


@pytest.mark.browser
def test_two_thousand_recordings_and_three_hours_of_text_are_there_at_once(
    page: Page, house: House
) -> None:
    """Also while all chunks are counted, as at the start."""
    database, ids = house.database, [ObjectId() for _ in range(2_000)]
    add_chunks(database, 1)
    [*documents] = database.chunks.find({}, {"_id": 0})
    chunk = {**documents[0], "transcribed_at": START, "transcript": said(*["so many words"] * 8)}
    with database.without_time_limit() as patient:  # a busy machine takes minutes
        patient.recordings.insert_many(
            {"_id": id_, "filename": f"talk {i:04}.mp3", "sha256": str(id_), "chunk_count": 5}
            for i, id_ in enumerate(ids)
        )
        patient.chunks.insert_many(
            {**chunk, "original_id": id_, "index": index, "offset": 30.0 * index}
            for id_ in ids
            for index in range(5)
        )
    long = add_transcribed(database, 360, filename="three hours.mp3")
    database.chunks.update_many(
        {"original_id": long}, {"$set": {"transcript": said(*["word"] * 8)}}
    )
    with house.coordinator.person() as person:
        # It has every chunk counted anew.
        assert person.post("/api/queue/retry").ok
    page.goto("/settings")
    for address, shown in (
        ("/recordings", ".recordings-list tbody tr"),
        ("/recordings?language=en&sort=-length", ".recordings-list tbody tr"),
        (f"/recordings/{long}", ".transcript .line"),
    ):
        tries: list[float] = []
        # Other programs may have the processor in some of the tries.
        while len(tries) < 5 and min(tries, default=inf) > scaled(1.0):
            expect(page.get_by_label("Heartbeat")).to_be_visible()
            key = f"{address} {len(tries)}"
            tries.append(page.evaluate(SHOW, [address, shown, key]))
            page.evaluate(SHOW, ["/settings", "form.settings", f"settings {key}"])
        assert min(tries) <= scaled(1.0), (address, tries)


@pytest.mark.browser
def test_enter_plays_a_line_while_text_is_selected_and_the_player_is_left_without_an_error(
    page: Page, house: House
) -> None:
    recording_id = add_recording(house.database, filename="tone.opus", duration=30.0, chunk_count=1)
    [chunk_id] = add_chunks(
        house.database, 1, recording_id=recording_id, audio=opus_tone(30), transcribed_at=START,
        transcript=said("one line", "another line"),
    )  # fmt: skip
    page.goto(f"/recordings/{recording_id}")
    page.locator(".transcript .line").nth(1).focus()
    page.evaluate("getSelection().selectAllChildren(document.querySelector('h1'))")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    assert heard_at(page)[0] == f"/chunks/{chunk_id}.opus"
    page.get_by_role("navigation").get_by_role("link", name="Fleet").click()
    expect(page.get_by_role("heading", name="Fleet")).to_be_visible()


@pytest.mark.browser
def test_what_was_typed_stays_while_another_page_is_shown(page: Page) -> None:
    page.goto("/settings")
    page.get_by_label("Heartbeat").fill("17")
    page.get_by_role("link", name="Upload").click()
    page.get_by_text("Options for the next files").click()
    page.get_by_label("Prompt").fill("A talk.")
    page.get_by_label("Language").select_option("German")
    page.get_by_role("link", name="Settings").click()
    expect(page.get_by_label("Heartbeat")).to_have_value("17")
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("link", name="Upload").click()
    page.get_by_text("Options for the next files").click()
    expect(page.get_by_label("Prompt")).to_have_value("A talk.")
    expect(page.get_by_label("Language")).to_have_value("de")


@pytest.mark.browser
def test_a_priority_out_of_bounds_is_shown_where_it_was_typed(page: Page, house: House) -> None:
    page.goto("/upload")
    page.get_by_text("Options for the next files").click()
    page.get_by_label("Priority").fill("99999999999")
    page.get_by_text("Options for the next files").click()
    expect(page.get_by_label("Priority")).to_be_hidden()
    drop(page, page.locator(".dropzone"), "x.opus", house.recording)
    expect(page.get_by_label("Priority")).to_be_focused()
    expect(page.locator(".uploads > li")).to_have_count(0)


@pytest.mark.browser
def test_an_address_where_nothing_is_shows_a_page(unchecked: Page) -> None:
    for address in ("/nonsense", "/results/000000000000000000000000"):
        answer = unchecked.goto(address)
        assert answer is not None
        assert answer.status == 404
        expect(unchecked.get_by_role("heading", level=1)).to_have_text("Not found")
    unchecked.get_by_role("navigation").get_by_role("link", name="Fleet").click()
    expect(unchecked.get_by_role("heading", name="Fleet")).to_be_visible()


@pytest.mark.browser
def test_a_broken_transfer_has_one_row(unchecked: Page, house: House) -> None:
    page = unchecked
    page.goto("/upload")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()

    def break_off(route: Route) -> None:
        """Let the coordinator have a record of it, as of a transfer that broke off on its way."""
        key = route.request.url.partition("transfer=")[2].partition("&")[0]
        if not key:
            route.fallback()
            return
        house.database.uploads.insert_one(
            {"filename": "late.opus", "state": "failed", "error": "It broke off.", "transfer": key}
        )
        error = {"error": {"code": "out_of_space", "message": "The disk is full."}}
        route.fulfill(status=507, json=error)

    page.route("**/api/uploads?*", break_off)
    drop(page, page.locator(".dropzone"), "late.opus", house.recording)
    rows = page.locator(".uploads > li").filter(has_text="late.opus")
    expect(rows).to_have_count(1)
    expect(rows).to_have_attribute("data-state", "failed")
    page.unroute("**/api/uploads?*")
    rows.get_by_role("button", name="Try again").click()
    expect(rows).to_have_count(1)
    expect(rows).to_have_attribute("data-state", "waiting")
    until(lambda: not house.database.uploads.count_documents({"state": "failed"}))
    page.reload()
    expect(rows).to_have_count(1)


@pytest.mark.browser
def test_an_uploaded_file_was_recorded_when_it_was_changed_last(
    page: Page, house: House, tmp_path: Path
) -> None:
    file = tmp_path / "old.opus"
    file.write_bytes(opus_tone(2))
    os.utime(file, (START.timestamp(), START.timestamp()))
    page.goto("/upload")
    page.locator("#files").set_input_files(file)
    row = page.locator(".uploads > li").filter(has_text="old.opus")
    row.get_by_role("link", name="old.opus").click()
    expect(page.locator(".facts")).to_contain_text("1 Jan 2026")


@pytest.mark.browser
def test_the_choosers_list_has_every_kind_of_recording(page: Page, tmp_path: Path) -> None:
    folder = tmp_path / "talks"
    folder.mkdir()
    for name in ("a.w64", "b.mka", "notes.txt"):
        (folder / name).write_bytes(b"no recording")
    page.goto("/upload")
    accepted = page.locator("#files")
    expect(accepted).to_have_attribute("accept", re.compile(r"\.aiff,.*\.dss,.*\.w64,.*\.wv"))
    page.locator("#folder").set_input_files(folder)
    rows = page.locator(".uploads > li")
    expect(rows).to_have_count(2)
    expect(page.get_by_text("Left out what is no recording: 1 file.")).to_be_visible()


@pytest.mark.browser
def test_the_join_command_has_the_address_that_others_use(page: Page) -> None:
    page.goto("/nodes")
    page.get_by_role("button", name="Join a machine").click()
    command = page.locator(".join pre").filter(has_text="register")
    expect(command).to_contain_text(f"stt node register --server {PUBLIC_URL} ")
    expect(page.locator(".join .wrong")).to_have_count(0)
    page.get_by_role("button", name="End all codes now").click()
    page.get_by_role("dialog").get_by_role("button", name="End them").click()
    expect(page.locator(".join")).to_have_count(0)
