"""A recording's page: its text and its name are corrected, and nothing is lost unasked."""

import pytest
from bson import ObjectId
from playwright.sync_api import BrowserContext, Page, expect

from stt.domain.chunk import SPEAKERS
from stt.domain.claim import WorkerReport
from stt.store.documents import read_recording
from stt.store.edits import edit_segment
from stt.store.recording_speakers import rename
from stt.store.workers import MongoRoster
from tests.support.conversation import add_conversation
from tests.support.pages import House
from tests.support.queue_builder import START, add_chunks, add_recording
from tests.support.recordings_in_queue import post_recording, transcribe

pytestmark = pytest.mark.browser


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
    tab: Page, house: House, page: Page, chunk: ObjectId
) -> None:
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


def test_to_transcribe_again_asks_before_edits_are_dropped(
    session: BrowserContext, house: House, page: Page, chunk: ObjectId
) -> None:
    edit_segment(house.database, chunk, 0, "Mine.", before="My name is Jon.")
    tab = session.new_page()
    tab.goto(page.url)
    for answer, is_pending in (("Cancel", False), ("Replace edited text", True)):
        tab.get_by_label("More actions").click()
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
    page.get_by_label("More actions").click()
    page.get_by_role("button", name="Edit name").click()
    page.get_by_role("textbox", name="Name").fill("Interview")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Interview.mp3")).to_be_visible()


def test_lines_flow_in_paragraphs_until_a_pause_or_many_characters_or_each_is_its_own(
    page: Page, house: House
) -> None:
    long = [(10.0 + i, 10.9 + i, f"Sentence {i} has forty characters, or so.") for i in range(20)]
    first = [(0.0, 2.0, "One."), (2.5, 4.0, "Two."), (6.0, 7.0, "Three.")]
    said = [(start, end, "", text) for start, end, text in (*first, *long)]
    page.goto(f"/recordings/{add_conversation(house.database, *said)}")
    paragraphs = page.locator(".transcript > li")
    expect(paragraphs).to_have_count(4)
    expect(paragraphs.nth(0)).to_have_text("0:00One. Two.")
    expect(paragraphs.nth(1)).to_have_text("0:06Three.")
    expect(paragraphs.nth(2)).to_contain_text("Sentence 15")
    expect(paragraphs.nth(3)).to_contain_text("0:26Sentence 16")
    lines = page.locator(".transcript .line")
    lines.nth(1).click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".transcript [aria-current]")).to_have_text("Two.")
    page.get_by_role("button", name="Lines").click()
    expect(paragraphs).to_have_count(23)
    expect(paragraphs.nth(1)).to_have_text("0:02Two.")
    expect(page.locator(".transcript [aria-current]")).to_have_text("Two.")
    expect(page.locator(".transcript .line[tabindex='0']")).to_have_count(1)
    page.reload()
    expect(paragraphs).to_have_count(23)
    page.evaluate("localStorage.clear()")


def test_each_speaker_has_a_colour_and_is_named_where_another_one_spoke_before(
    page: Page, house: House
) -> None:
    recording_id = add_conversation(
        house.database, (0.0, 1.0, "A", "One."), (1.0, 2.0, "A", "Two."), (2.0, 3.0, "B", "Three."),
        (3.0, 4.0, "A", "Four."), (7.0, 8.0, "A", "Five."),
    )  # fmt: skip
    recording = read_recording(house.database.recordings.find_one({"_id": recording_id}) or {})
    rename(house.database, recording, "SPEAKER_01", "<b>Anna</b>")
    page.goto(f"/recordings/{recording_id}")
    expect(page.locator(".transcript > li p")).to_have_text(
        ["<b>Anna</b>: One. Two.", "SPEAKER_02: Three.", "<b>Anna</b>: Four.", "Five."]
    )
    speakers = page.locator(".transcript .speaker")
    colours = [speakers.nth(i).evaluate("item => getComputedStyle(item).color") for i in range(3)]
    assert colours[0] == colours[2] != colours[1]


def test_a_menu_is_opened_walked_and_closed_by_keyboard(page: Page, chunk: ObjectId) -> None:
    more = page.get_by_label("More actions")
    again = page.get_by_role("button", name="Transcribe again…")
    more.focus()
    page.keyboard.press("Enter")
    expect(again).to_be_visible()
    page.keyboard.press("Escape")
    expect(again).to_be_hidden()
    expect(more).to_be_focused()
    for key in ("ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    expect(again).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(again).to_be_hidden()
    page.keyboard.press("Escape")
    expect(more).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("button", name="Delete…")).to_be_focused()
    page.get_by_role("heading", name="REC1.mp3").click(force=True)
    expect(again).to_be_hidden()


def test_words_are_found_in_all_of_a_long_transcript_also_across_lines(
    page: Page, house: House
) -> None:
    recording_id = add_recording(house.database, filename="long.opus", chunk_count=2)
    for index, texts in enumerate(([f"word {i}" for i in range(600)], ["Émile saw", "a Giraffe."])):
        segments = [
            {"start": i * 0.04, "end": i * 0.04 + 0.03, "text": text}
            for i, text in enumerate(texts)
        ]
        add_chunks(
            house.database, 1, recording_id=recording_id, index=index, offset=30.0 * index,
            transcribed_at=START, transcript={"segments": segments}, audio_removed_at=START,
        )  # fmt: skip
    page.goto(f"/recordings/{recording_id}")
    lines = page.locator(".transcript .line")
    expect(lines.first).to_be_visible()
    page.keyboard.press("f")
    page.keyboard.type("emile saw a giraffe")
    count = page.locator("#find output")
    expect(count).to_have_text("1 of 1")
    expect(lines.nth(600)).to_be_in_viewport()
    marked = "[...CSS.highlights.get('current-match')].map((one) => one.startContainer.data)"
    assert page.evaluate(marked) == ["Émile saw"]
    field = page.get_by_label("Find in this recording")
    field.fill("WORD")
    expect(count).to_have_text("1 of 600")
    for key, place in (("Enter", 2), ("Shift+Enter", 1), ("Shift+Enter", 600)):
        page.keyboard.press(key)
        expect(count).to_have_text(f"{place} of 600")
    page.get_by_role("button", name="Next match").click()
    expect(count).to_have_text("1 of 600")
    expect(lines.first).to_be_in_viewport()
    field.fill("zebra")
    expect(count).to_have_text("Not found")
    field.press("Escape")
    expect(field).to_have_value("")
    assert page.evaluate("CSS.highlights.get('match').size") == 0


def test_the_audio_of_a_recording_is_downloaded_as_one_file(page: Page, house: House) -> None:
    recording_id = add_conversation(house.database, (0.0, 1.0, "", "One."))
    page.goto(f"/recordings/{recording_id}")
    page.get_by_role("button", name="Download").click()
    with page.expect_download() as started:
        page.get_by_role("link", name="Audio (Opus)").click()
    assert started.value.suggested_filename == "conversation.opus"
    assert started.value.path().read_bytes().startswith(b"OggS")


PLAYS = """
    window.plays = 0;
    const play = HTMLMediaElement.prototype.play;
    HTMLMediaElement.prototype.play = function () { window.plays += 1; return play.call(this); };
"""


@pytest.mark.parametrize("clicks", [2, 3])
def test_a_click_that_selects_text_plays_nothing(page: Page, house: House, clicks: int) -> None:
    recording_id = post_recording(house.database, 1, filename="talk.mp3")
    transcribe(house.database, recording_id, 0, "My name is Jon.", "It is late.")
    page.add_init_script(PLAYS)
    page.clock.install()
    page.goto(f"/recordings/{recording_id}")
    line = page.locator(".transcript .line").first
    expect(line).to_be_visible()
    page.clock.pause_at(page.evaluate("Date.now() + 1_000"))
    line.click(click_count=clicks)
    page.clock.run_for(1_000)  # after which a single click would have played
    assert page.evaluate("String(getSelection())").strip()
    assert page.evaluate("plays") == 0
    page.evaluate("getSelection().removeAllRanges()")
    line.click()
    page.clock.run_for(1_000)
    assert page.evaluate("plays") == 1


def test_a_recording_that_waits_for_a_model_that_no_machine_has_says_so(
    page: Page, house: House
) -> None:
    recording_id = post_recording(house.database, 1, filename="talk.mp3", model="huge")
    page.goto(f"/recordings/{recording_id}")
    expect(page.get_by_role("heading", name="talk.mp3")).to_be_visible()
    report = WorkerReport(slots=1, missing_models=("huge",))
    MongoRoster(house.database).report("mac_1", report)
    expect(page.get_by_text("No machine has the model huge: it waits for one")).to_be_visible()


def test_a_recording_whose_speakers_no_machine_finds_says_so(page: Page, house: House) -> None:
    recording_id = post_recording(house.database, 1, filename="talk.mp3", speakers=0)
    MongoRoster(house.database).report("mac_1", WorkerReport(slots=1, missing_models=(SPEAKERS,)))
    page.goto(f"/recordings/{recording_id}")
    expect(page.get_by_text("No machine finds speakers: it waits for one")).to_be_visible()


def test_a_recording_is_shown_though_its_speakers_cannot_be_read(tab: Page, house: House) -> None:
    recording_id = post_recording(house.database, 1, filename="talk.mp3", speakers=0)
    transcribe(house.database, recording_id, 0, "Hello there.")
    failure = {"error": {"code": "broken", "message": "Nobody can be told apart now."}}
    tab.route(
        "**/api/recordings/*/speakers*", lambda route: route.fulfill(status=500, json=failure)
    )
    tab.goto(f"/recordings/{recording_id}")
    expect(tab.locator(".line")).to_have_text("Hello there.")
    expect(tab.get_by_text("Nobody can be told apart now.").first).to_be_visible()
