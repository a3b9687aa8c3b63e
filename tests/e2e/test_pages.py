"""The pages in a real browser, on a real coordinator, with a worker beside it.

The whisper server is a stand-in, for here it matters that words are shown, not which. Nothing that
a page logs as an error is let pass: a script that breaks, or one that the Content-Security-Policy
forbids, fails the test that it happens in.
"""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from stt.domain.visible_text import visible
from stt.store.recordings import MongoRecordings
from tests.support.coordinator_app import KeyedSession
from tests.support.pace import until
from tests.support.pages import House, drop, heard_at, log_in
from tests.support.queue_builder import START, add_chunks, add_recording
from tests.support.recordings import babble, write_wav
from tests.support.speech import opus_tone
from tests.unit.stt.domain.test_visible_text import HIDDEN, READABLE

MARKUP = "<img src=x onerror=alert(1)>.opus"
PAGES = {
    "/": "Start", "/upload": "Upload", "/recordings": "Recordings", "/search": "Search",
    "/fleet": "Fleet", "/quarantine": "Quarantine", "/settings": "Settings",
}  # fmt: skip
NARROW = 360


@pytest.mark.browser
def test_a_wrong_key_is_told_and_the_right_one_leads_to_the_page_that_was_asked_for(
    browser: Browser, house: House
) -> None:
    context = browser.new_context(base_url=house.url)
    page = context.new_page()
    page.goto("/nodes")
    log_in(page, "not the key")
    expect(page.get_by_role("alert")).to_have_text("This key is wrong.")
    log_in(page)
    expect(page.get_by_role("heading", name="Fleet")).to_be_visible()
    assert page.url == f"{house.url}/fleet"
    cookie = next(c for c in context.cookies() if c["name"] == "stt_session")
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Key", exact=True)).to_be_visible()
    other = context.new_page()
    other.goto("/settings")
    expect(other.get_by_label("Key", exact=True)).to_be_visible()
    context.close()


def test_a_recording_that_is_dropped_in_is_watched_until_it_is_transcribed(
    page: Page, house: House
) -> None:
    page.goto("/upload")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    drop(page, page.locator(".dropzone"), MARKUP, house.recording)
    row = page.get_by_role("listitem").filter(has_text=MARKUP)
    expect(row).to_have_attribute("data-state", "done")
    expect(row).to_contain_text("Transcribed: 3 of 3 chunks")
    row.get_by_role("link", name=MARKUP).click()
    expect(page.get_by_role("heading", name=MARKUP)).to_be_visible()
    assert page.locator("img[src=x]").count() == 0
    lines = page.locator(".transcript .line")
    expect(lines).to_have_count(6)
    assert page.title() == f"{MARKUP} · stt"


@pytest.mark.browser
def test_options_that_are_chosen_go_with_the_next_file_and_can_be_changed(
    page: Page, house: House
) -> None:
    page.goto("/upload")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.get_by_text("Options for the next files").click()
    page.get_by_label("Language").select_option("German")
    page.get_by_label("Text").select_option("in English")
    page.get_by_label("Prompt").fill("A talk.")
    page.get_by_label("Hotwords").fill("<|en|> Zermatt")
    drop(page, page.locator(".dropzone"), "options.opus", opus_tone(3))
    row = page.get_by_role("listitem").filter(has_text="options.opus")
    expect(row).to_have_attribute("data-state", "done")
    row.get_by_role("link", name="options.opus").click()
    facts = page.locator(".facts")
    expect(facts).to_contain_text("German")
    expect(facts).to_contain_text("in English")
    expect(facts).to_contain_text("<|en|> Zermatt")
    recording = house.database.recordings.find_one({"filename": "options.opus"})
    assert recording is not None
    silent: dict[str, object] = {"transcript.silent_speech_seconds": 80.0}
    house.database.chunks.update_one({"original_id": recording["_id"]}, {"$set": silent})
    page.reload()
    expect(page.get_by_text("1 min 20 s of speech gave no text.")).to_be_visible()
    page.get_by_label("More actions").click()
    page.get_by_role("button", name="Edit name").click()
    page.get_by_label("Language").select_option("detected")
    page.get_by_label("Text").select_option("as spoken")
    page.get_by_role("button", name="Save").click()
    expect(facts).to_contain_text("detected")
    expect(facts).not_to_contain_text("in English")
    house.database.uploads.delete_many({})  # a page would ask for the recording
    MongoRecordings(house.database).remove(recording["_id"])


@pytest.mark.browser
def test_a_folder_keeps_its_structure_and_namesakes_are_told_apart(
    page: Page, house: House, tmp_path: Path
) -> None:
    folder = tmp_path / "talks"
    for seed, name in enumerate(("A", "B"), start=20):
        (folder / name).mkdir(parents=True)
        write_wav(folder / name / "ep01.wav", babble(2, seed=seed))
    (folder / "notes.txt").write_text("no recording")
    (folder / ".hidden.wav").write_bytes(b"no recording")
    page.goto("/upload")
    page.locator("#folder").set_input_files(folder)
    expect(page.get_by_text("Left out what is no recording: 1 file.")).to_be_visible()
    for name in ("A", "B"):
        row = page.get_by_role("listitem").filter(has_text=f"talks/{name}/ep01.wav")
        expect(row).to_have_attribute("data-state", "done")
    page.goto("/recordings")
    for name in ("A", "B"):
        expect(page.get_by_role("link", name=f"{name}/ep01.wav")).to_be_visible()
    found = list(house.database.recordings.find({"filename": "ep01.wav"}).sort("path"))
    assert [(one["folder"], one["path"]) for one in found] == [
        ("talks", "A/ep01.wav"), ("talks", "B/ep01.wav"),
    ]  # fmt: skip
    house.database.uploads.delete_many({})  # a page would ask for the recordings
    for recording in found:
        MongoRecordings(house.database).remove(recording["_id"])


@pytest.mark.browser
def test_a_click_on_a_line_lets_one_hear_that_place_and_what_follows_it(
    page: Page, house: House
) -> None:
    recording = uploaded(house)
    page.goto(f"/recordings/{recording['id']}")
    with house.coordinator.person() as person:
        answer = person.get(f"/api/recordings/{recording['id']}/chunks")
    chunks = answer.json()["chunks"]
    lines = page.locator(".transcript .line")
    expect(lines).to_have_count(6)
    assert page.locator(".transcript b").count() == 0
    lines.nth(3).click()
    until(lambda: heard_at(page)[0] == f"/chunks/{chunks[1]['id']}.opus")
    assert heard_at(page)[1] == pytest.approx(4.0, abs=3.0)
    assert lines.nth(3).get_attribute("aria-current") == "true"
    # On into the next chunk, which begins where this one ends.
    page.get_by_label("Place").fill(str(round(chunks[2]["offset"]) - 1))
    until(lambda: heard_at(page)[0] == f"/chunks/{chunks[2]['id']}.opus")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()


@pytest.mark.browser
def test_the_channels_of_a_call_are_read_together_and_heard_one_by_one(
    page: Page, house: House, tmp_path: Path
) -> None:
    call = write_wav(tmp_path / "call.wav", babble(40, seed=7), babble(40, seed=8))
    page.goto("/upload")
    page.get_by_text("Options for the next files").click()
    page.get_by_label("Channels").select_option("split")
    drop(page, page.locator(".dropzone"), "call.wav", call.read_bytes())
    row = page.get_by_role("listitem").filter(has_text="call.wav")
    expect(row).to_have_attribute("data-state", "done")
    expect(row).to_contain_text("Transcribed: 4 of 4 chunks")
    row.get_by_role("link", name="call.wav").click()
    lines = page.locator(".transcript .line")
    expect(lines).to_have_count(8)
    assert [text.split(":")[0] for text in page.locator(".line small").all_inner_texts()] == [
        "Channel 1", "Channel 2", "Channel 1", "Channel 2",
        *["Channel 1", "Channel 2"] * 2,
    ]  # fmt: skip
    expect(page.locator(".facts")).to_contain_text("each by itself")
    chunks = list(house.database.chunks.find({"channels": 2}).sort("index"))
    lines.nth(1).click()
    until(lambda: heard_at(page)[0] == f"/chunks/{chunks[2]['_id']}.opus")
    page.get_by_label("Channel", exact=True).select_option("1")
    until(lambda: heard_at(page)[0] == f"/chunks/{chunks[0]['_id']}.opus")
    # A hit of the search leads to the line of its channel.
    page.goto("/search?q=harbour")
    page.get_by_role("link", name="Channel 2:").first.click()
    playing = page.locator(".transcript .line.is-playing")
    expect(playing).to_be_focused()
    expect(playing).to_contain_text("Channel 2:")
    with house.coordinator.person() as person:
        assert person.delete(f"/api/recordings/{chunks[0]['original_id']}").ok
    house.database.uploads.delete_many({})  # a page would ask for the recording


@pytest.mark.browser
def test_a_transcript_is_downloaded_as_subtitles(page: Page, house: House, tmp_path: Path) -> None:
    page.goto(f"/recordings/{uploaded(house)['id']}")
    page.get_by_text("Download").click()
    with page.expect_download() as started:
        page.get_by_role("link", name="Subtitles (.srt)").click()
    file = tmp_path / "transcript.srt"
    started.value.save_as(file)
    assert started.value.suggested_filename.endswith(".srt")
    assert re.match(r"1\n00:00:00,500 --> 00:00:02,000\nharbour \d\n", file.read_text())


@pytest.mark.browser
def test_a_found_word_is_marked_and_leads_to_its_place(page: Page, house: House) -> None:
    uploaded(house)
    page.goto("/search")
    page.get_by_role("searchbox").fill("HARBOUR")
    page.get_by_role("button", name="Search").click()
    hits = page.locator(".hit")
    expect(hits).to_have_count(3)
    assert hits.locator("mark").all_inner_texts() == ["harbour"] * 3
    hits.nth(1).click()
    expect(page.locator(".transcript .line.is-playing")).to_be_focused()


@pytest.mark.browser
def test_what_is_marked_is_what_matched(page: Page, house: House) -> None:
    texts = ("🙂 <b>zebra, rhino</b> and aujourd’hui", "rhino zebra", "어제 회의록을 보냈다")
    segments = [{"start": 1.0, "end": 2.0, "text": text} for text in texts]
    transcript = {"segments": segments}
    add_chunks(house.database, 1, transcribed_at=START, transcript=transcript)
    for query, marks in {
        '"zebra rhino"': ["zebra, rhino"],
        "zebra aujourd'hui": ["zebra", "aujourd’hui", "zebra"],
        "회의": ["회의"],
        "ebra": [],
    }.items():
        page.goto("/search")
        page.get_by_role("searchbox").fill(query)
        page.get_by_role("button", name="Search").click()
        expect(page.locator(".hit mark")).to_have_text(marks)
        if not marks:
            expect(page.get_by_text("Not found in what is transcribed")).to_be_visible()


@pytest.mark.browser
def test_a_node_is_seen_to_join_and_is_renamed_and_removed(page: Page, house: House) -> None:
    page.goto("/nodes")
    expect(page.get_by_text("No machine has joined yet")).to_be_visible()
    page.get_by_role("button", name="Join a machine").click()
    command = page.locator(".join pre").filter(has_text="register").inner_text()
    code = command.rpartition("--code ")[2]
    expect(page.locator(".join pre").first).to_contain_text('pip install "stt-fleet[node,server]"')
    assert command.startswith(f"stt node register --server {house.url} ")
    key = node_joins(house, code, "<i>M4</i>")
    card = page.get_by_role("article").filter(has=page.get_by_role("heading", name="<i>M4</i>"))
    expect(card).to_contain_text("idle")
    card.get_by_role("button", name="Edit").click()
    page.get_by_role("dialog").get_by_label("Name").fill("M4 MacBook Pro")
    page.get_by_role("button", name="Save").click()
    renamed = page.get_by_role("heading", name="M4 MacBook Pro")
    expect(renamed).to_be_visible()
    page.get_by_role("button", name="Remove M4 MacBook Pro").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(renamed).to_have_count(0)
    with KeyedSession(house.url, key) as node:
        assert node.get("/status").status_code == 410


@pytest.mark.browser
def test_the_key_of_a_node_that_is_added_by_hand_is_shown_once(page: Page, house: House) -> None:
    page.goto("/nodes")
    page.get_by_role("button", name="Add by hand").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("By hand")
    dialog.get_by_role("button", name="Add").click()
    expect(dialog).to_contain_text("It is shown this once")
    shown = re.search(r'"api_key": "([^"]+)"', dialog.locator("code").last.inner_text())
    assert shown
    with KeyedSession(house.url, shown[1]) as node:
        assert node.get("/status").status_code == 200
    dialog.get_by_role("button", name="Done").click()
    page.reload()
    expect(page.get_by_role("heading", name="By hand")).to_be_visible()
    assert shown[1] not in page.content()


@pytest.mark.browser
def test_a_chunk_in_quarantine_is_retried_and_leaves(page: Page, house: House) -> None:
    fault = {"at": START, "worker": "a_1", "kind": "refused", "message": "<b>no</b> audio"}
    recording = add_recording(house.database, filename="broken.mp3", duration=30.0, chunk_count=1)
    [chunk_id] = add_chunks(
        house.database, 1, recording_id=recording, audio=opus_tone(1), failed_at=START,
        attempts=3, errors=[fault],
    )  # fmt: skip
    page.goto("/quarantine")
    row = page.get_by_role("listitem").filter(has_text="broken.mp3").first
    expect(row).to_contain_text("<b>no</b> audio")
    expect(row.locator("audio")).to_have_attribute("src", f"/chunks/{chunk_id}.opus")
    row.get_by_role("button", name="Retry").click()
    expect(page.get_by_text("Nothing is here.")).to_be_visible()
    page.get_by_role("link", name="Recordings").click()
    done = page.get_by_role("row").filter(has_text="broken.mp3")
    expect(done).to_contain_text("1 of 1 chunk")


@pytest.mark.browser
def test_no_name_disguises_itself_or_turns_what_stands_beside_it(page: Page, house: House) -> None:
    disguised = add_recording(house.database, filename="talk\u202egpj.opus", start=START)
    hebrew = add_recording(house.database, filename="ראיון עם דנה.opus", start=START)
    try:
        page.goto("/recordings")
        for shown in ("talk\ufffdgpj.opus", "ראיון עם דנה.opus"):
            link = page.get_by_role("link", name=shown, exact=True)
            expect(link.locator("bdi")).to_have_text(shown)
            expect(link.locator("bdi")).to_have_attribute("title", shown)
            assert link.locator("bdi").evaluate("e => getComputedStyle(e).unicodeBidi") == "isolate"
        page.goto(f"/recordings/{disguised}")
        expect(page.get_by_role("heading", level=1)).to_have_text("talk\ufffdgpj.opus")
        expect(page).to_have_title("talk\ufffdgpj.opus · stt")
    finally:
        page.goto("about:blank")  # which asks for the recording no more
        MongoRecordings(house.database).remove(disguised)
        MongoRecordings(house.database).remove(hebrew)


@pytest.mark.browser
def test_the_pages_hide_and_show_the_same_characters_as_the_commands(page: Page) -> None:
    page.goto("/")
    texts = [*READABLE, *(f"a{character}b" for character in HIDDEN if character != "\ud800")]
    texts += [
        f"{before}\u200d{after}" for before in ("", "a", "я", "ب", "❤\ufe0f") for after in "a"
    ]
    found = page.evaluate(
        "async (texts) => texts.map((await import('/static/visible.js')).visible)", texts
    )
    assert found == [visible(text) for text in texts]


@pytest.mark.browser
def test_a_setting_is_changed_and_put_back(page: Page) -> None:
    page.goto("/settings")
    field = page.get_by_label("Heartbeat")
    usual = field.input_value()
    field.fill("12")
    page.get_by_label("Text", exact=True).select_option("translate")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    page.reload()
    expect(field).to_have_value("12")
    expect(page.get_by_label("Text", exact=True)).to_have_value("translate")
    page.get_by_role("button", name="back to as spoken").click()
    page.get_by_role("button", name=f"back to {usual}").click()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    expect(field).to_have_value(usual)


@pytest.mark.browser
def test_what_the_coordinator_refuses_is_told_in_the_words_of_the_pages(
    session: BrowserContext,
) -> None:
    page = session.new_page()  # the browser logs every refusal as an error
    page.goto("/recordings/000000000000000000000000")
    expect(page.get_by_text("There is no such recording.")).to_be_visible()
    page.goto("/settings")
    page.get_by_label("Heartbeat").fill("600")
    page.get_by_role("button", name="Save").click()
    words = "“Offline after” must be longer than “Heartbeat every”."
    expect(page.get_by_role("alert")).to_have_text(words)
    page.close()


@pytest.mark.browser
def test_a_number_out_of_bounds_is_not_sent_and_what_is_refused_stands_beside_its_field(
    session: BrowserContext,
) -> None:
    page = session.new_page()
    page.goto("/settings")
    field, save = page.get_by_label("Heartbeat"), page.get_by_role("button", name="Save")
    assert (field.get_attribute("min"), field.get_attribute("max")) == ("1", "600")
    assert page.get_by_label("Prompt").get_attribute("maxlength") == "10000"
    field.fill("-3")
    save.click()
    assert field.evaluate("field => field.validationMessage") != ""
    expect(page.get_by_role("alert")).to_have_count(0)
    page.locator("form.settings").evaluate("form => { form.noValidate = true }")
    save.click()
    row = page.locator(".setting").filter(has=field)
    expect(row.get_by_role("alert")).to_have_text("at least 1.0 is needed.")
    expect(field).to_have_attribute("aria-invalid", "true")

    page.goto("/nodes")
    page.get_by_role("button", name="Add by hand").click()
    name = page.get_by_label("Name")
    name.evaluate("field => field.removeAttribute('maxlength')")
    name.fill("x" * 300)
    page.locator("dialog form [type=submit]").click()
    beside = page.locator("label:has(input[name=name]) + .refused")
    expect(beside).to_contain_text("at most 100 characters")
    expect(name).to_have_attribute("aria-invalid", "true")
    page.close()


@pytest.mark.browser
def test_without_a_web_socket_the_pages_ask_every_few_seconds(page: Page) -> None:
    page.route_web_socket("**/ws/dashboard", lambda socket: socket.close())
    page.goto("/fleet")
    expect(page.get_by_text("Polling", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="Queue")).to_be_visible()


@pytest.mark.browser
def test_every_page_fits_a_phone_and_begins_with_a_way_past_the_menu(page: Page) -> None:
    page.set_viewport_size({"width": NARROW, "height": 700})
    page.goto("/settings")
    for path, name in PAGES.items():
        page.get_by_role("button", name="Menu").click()
        page.get_by_role("navigation").get_by_role("link", name=name).click()
        page.wait_for_url(f"**{path}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.locator("[aria-busy=true]")).to_have_count(0)
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW, path
        assert page.locator("a, button, input").first.inner_text() == "Skip to the page", path


def test_nothing_but_the_files_of_the_pages_is_served(house: House) -> None:
    with house.coordinator.person() as person, KeyedSession(house.url, None) as anonymous:
        assert person.get("/static/app.js").status_code == 200
        for path in ("../routes/pages.py", "%2e%2e/app.py", "..%2fapp.py", "pages", "none.js", ""):
            assert person.get(f"/static/{path}").status_code == 404
            assert anonymous.get(f"/login/{path}").status_code in (401, 404)
        assert anonymous.get("/login/login.css").status_code == 200
        assert anonymous.get("/static/app.js").status_code == 401


def uploaded(house: House) -> dict[str, object]:
    """The recording of the first test, or the same one sent by a program."""
    with house.coordinator.person() as person:
        answer = person.post("/upload", files={"file": (MARKUP, house.recording)})
        answer.raise_for_status()

        def found() -> dict[str, object] | None:
            query = {"search": MARKUP, "state": "done"}
            listed = person.get("/api/recordings", params=query).json()["recordings"]
            return listed[0] if listed else None

        until(found)
        recording = found()
    assert recording is not None
    return recording


def node_joins(house: House, code: str, name: str) -> str:
    """What `stt node register` and a first heartbeat say; the node's key."""
    with KeyedSession(house.url, None) as machine:
        body = {"code": code, "name": name, "platform": "macOS 26"}
        answer = machine.post("/api/nodes/register", json=body)
        assert answer.status_code == 201, answer.text
        node, key = answer.json()["node"], str(answer.json()["api_key"])
    with KeyedSession(house.url, key) as machine:
        report = {"worker_id": f"{node['id']}_1", "server": "http://127.0.0.1:8081"}
        beat = machine.post(f"/api/nodes/{node['id']}/heartbeat", json=report)
        assert beat.status_code == 200, beat.text
    return key
