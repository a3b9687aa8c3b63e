"""The speakers on a recording's page: named, heard and merged, by several people at once."""

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from stt.domain.chunk import Recording
from stt.store.recording_speakers import merge, read, rename
from stt.store.recordings import MongoRecordings
from tests.support.conversation import add_conversation
from tests.support.pace import until
from tests.support.pages import House, heard_at
from tests.support.queue_builder import START

pytestmark = pytest.mark.browser


@pytest.fixture
def talk(house: House) -> Recording:
    """Three speak in it: for seven seconds, for twelve, and for three."""
    recording_id = add_conversation(
        house.database, (3.0, 4.0, "A", "One."), (5.0, 17.0, "B", "Two."),
        (18.0, 21.0, "C", "Three."), (22.0, 28.0, "A", "Four."),
    )  # fmt: skip
    return MongoRecordings(house.database).get(recording_id)


def open_page(page: Page, talk: Recording) -> Page:
    """Open the recording's page; it asks ten times as often what others do."""
    page.add_init_script(
        "const every = setInterval; window.setInterval = (work, ms) => every(work, ms / 10);"
    )
    page.goto(f"/recordings/{talk.id}")
    expect(names(page)).to_have_count(3)
    return page


@pytest.fixture
def tab(tab: Page, talk: Recording) -> Page:
    """The recording's page, where requests may be refused."""
    return open_page(tab, talk)


@pytest.fixture
def shown(page: Page, talk: Recording) -> Page:
    """The recording's page."""
    return open_page(page, talk)


def names(page: Page) -> Locator:
    return page.locator(".speakers .speaker")


def field(page: Page, speaker: str) -> Locator:
    return page.get_by_label(f"Name of {speaker}")


def begin(page: Page, speaker: str) -> Locator:
    page.get_by_role("button", name=f"Rename {speaker}").click()
    return field(page, speaker)


def held(page: Page, address: str) -> list[Route]:
    """Hold the page's requests from now on, oldest first."""
    routes: list[Route] = []
    page.route(address, lambda route: routes.append(route))
    return routes


def begun(page: Page, routes: list[Route]) -> Route:
    """Return the next request that is held, once it has begun."""

    def waited() -> list[Route]:
        page.wait_for_timeout(20)
        return routes

    return until(waited).pop(0)


def colours(found: Locator) -> list[str]:
    return [item.evaluate("item => getComputedStyle(item).color") for item in found.all()]


def test_one_who_is_not_known_is_not_taken_for_the_one_before(page: Page, house: House) -> None:
    recording_id = add_conversation(
        house.database, (0.0, 4.0, "A", "I think,"), (4.0, 6.0, "", "no."), (6.0, 8.0, "", "No!"),
        (8.0, 9.0, "A", "Yes."),
    )  # fmt: skip
    page.goto(f"/recordings/{recording_id}")
    shown = page.locator(".transcript > li p")
    page.get_by_role("button", name="Lines").click()
    expect(shown).to_have_text(["SPEAKER_01: I think,", "?: no.", "?: No!", "SPEAKER_01: Yes."])
    page.get_by_role("button", name="Paragraphs").click()  # which is remembered
    expect(shown).to_have_text(["SPEAKER_01: I think,", "?: no. No!", "SPEAKER_01: Yes."])


def test_a_name_is_typed_where_it_is_shown(shown: Page, house: House, talk: Recording) -> None:
    typed = begin(shown, "SPEAKER_01")
    expect(typed).to_be_focused()
    shown.keyboard.type("<b>Ada</b>")
    shown.keyboard.press("Enter")
    expect(names(shown)).to_have_text(["<b>Ada</b>", "SPEAKER_02", "SPEAKER_03"])
    expect(names(shown).first).to_be_focused()
    expect(shown.locator(".transcript > li p").first).to_have_text("<b>Ada</b>: One.")
    begin(shown, "<b>Ada</b>").fill("Eve")
    shown.keyboard.press("Escape")
    expect(names(shown).first).to_have_text("<b>Ada</b>")
    expect(names(shown).first).to_be_focused()
    assert read(house.database, talk).find("SPEAKER_01").name == "<b>Ada</b>"
    begin(shown, "<b>Ada</b>").fill("")
    shown.get_by_role("button", name="Save").click()
    expect(names(shown).first).to_have_text("SPEAKER_01")


def test_while_a_name_is_saved_nothing_is_typed_and_who_goes_on_keeps_the_focus(
    shown: Page,
) -> None:
    saves = held(shown, "**/speakers/SPEAKER_01")
    typed = begin(shown, "SPEAKER_01")
    typed.fill("Ada")
    typed.press("Enter")
    expect(typed).not_to_be_editable()
    shown.keyboard.type(" Augusta")
    expect(typed).to_have_value("Ada")
    elsewhere = shown.get_by_role("button", name="Correct text")
    elsewhere.focus()
    begun(shown, saves).continue_()
    expect(names(shown).first).to_have_text("Ada")
    expect(elsewhere).to_be_focused()


def test_a_name_typed_while_an_earlier_one_is_saved_stays(shown: Page) -> None:
    saves = held(shown, "**/speakers/SPEAKER_01")
    begin(shown, "SPEAKER_01").fill("Ada")
    shown.keyboard.press("Enter")
    shown.keyboard.press("Escape")
    begin(shown, "SPEAKER_01").fill("Eve")
    begun(shown, saves).continue_()
    expect(shown.locator(".transcript > li p").first).to_have_text("Ada: One.")
    typed = field(shown, "Ada")
    expect(typed).to_have_value("Eve")
    expect(typed).to_be_focused()
    typed.press("Enter")
    begun(shown, saves).continue_()
    expect(names(shown).first).to_have_text("Eve")


def test_a_name_is_saved_though_the_page_is_left_at_once(
    shown: Page, house: House, talk: Recording
) -> None:
    saves = held(shown, "**/speakers/SPEAKER_01")
    begin(shown, "SPEAKER_01").fill("Ada")
    shown.keyboard.press("Enter")
    shown.get_by_role("link", name="Recordings").first.click()
    expect(shown.get_by_role("heading", name="Recordings")).to_be_visible()
    begun(shown, saves).continue_()
    expect(shown.get_by_text("Saved", exact=True)).to_be_visible()
    assert read(house.database, talk).find("SPEAKER_01").name == "Ada"


def test_a_key_that_an_input_method_takes_ends_no_name(shown: Page) -> None:
    typed = begin(shown, "SPEAKER_01")
    for is_composing, fields in ((True, 1), (False, 0)):
        key = {"key": "Escape", "bubbles": True, "isComposing": is_composing}
        typed.dispatch_event("keydown", key)
        expect(typed).to_have_count(fields)


def test_a_name_that_cannot_be_is_explained_beside_it(tab: Page) -> None:
    typed = begin(tab, "SPEAKER_01")
    typed.fill("speaker_02")
    typed.press("Enter")
    expect(tab.get_by_role("alert")).to_have_text("SPEAKER_02 is another speaker.")
    expect(typed).to_be_focused()
    expect(typed).to_have_value("speaker_02")


def test_the_second_of_two_who_name_a_speaker_is_told(
    tab: Page, house: House, talk: Recording
) -> None:
    begin(tab, "SPEAKER_01").fill("Ada")
    rename(house.database, talk, "SPEAKER_01", "Eve")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("alert")).to_contain_text("named this speaker “Eve” in the meantime")
    typed = field(tab, "Eve")
    expect(typed).to_have_value("Ada")
    assert read(house.database, talk).find("SPEAKER_01").name == "Eve"
    typed.press("Enter")
    expect(names(tab).first).to_have_text("Ada")


def test_what_others_do_shows_by_itself_and_what_is_typed_stays(
    shown: Page, house: House, talk: Recording
) -> None:
    typed = begin(shown, "SPEAKER_03")
    typed.fill("Cy")
    rename(house.database, talk, "SPEAKER_01", "Ada")
    expect(names(shown).first).to_have_text("Ada")
    expect(shown.locator(".transcript > li p").first).to_have_text("Ada: One.")
    expect(typed).to_have_value("Cy")
    expect(typed).to_be_focused()
    merge(house.database, talk, "SPEAKER_03", "SPEAKER_02")
    expect(shown.get_by_text("SPEAKER_03 is no longer among the speakers")).to_be_visible()
    expect(names(shown)).to_have_text(["Ada", "SPEAKER_02"])


def test_what_was_asked_before_a_name_was_saved_does_not_undo_it(
    shown: Page, house: House, talk: Recording
) -> None:
    shown.evaluate(
        """() => {
            window.labels = [];
            const note = () => labels.push(document.querySelector(".speakers .speaker")?.innerText);
            new MutationObserver(note).observe(document.querySelector(".page"),
                { childList: true, subtree: true, characterData: true });
        }"""
    )
    poll = begun(shown, held(shown, "**/speakers?seen=*"))
    begin(shown, "SPEAKER_01").fill("Ada")
    shown.keyboard.press("Enter")
    expect(names(shown).first).to_have_text("Ada")
    speaker = {"id": "SPEAKER_01", "name": "Old", "label": "Old", "seconds": 7}
    with shown.expect_response("**/speakers?seen=*"):
        poll.fulfill(json={"version": 1, "speakers": [speaker]})
    shown.unroute("**/speakers?seen=*")
    rename(house.database, talk, "SPEAKER_02", "Bob")
    expect(names(shown).nth(1)).to_have_text("Bob")
    assert "Old" not in shown.evaluate("labels")


def test_colours_are_those_of_the_text_and_stay_when_two_are_merged(
    shown: Page, house: House, talk: Recording
) -> None:
    spoken = shown.locator(".transcript .speaker")
    before = colours(names(shown))
    assert colours(spoken) == [before[i] for i in (0, 1, 2, 0)]
    assert len(set(before)) == 3
    merge(house.database, talk, "SPEAKER_01", "SPEAKER_02")
    expect(names(shown)).to_have_text(["SPEAKER_02", "SPEAKER_03"])
    assert colours(names(shown)) == before[1:]


def test_a_sample_is_played_and_then_the_player_is_where_it_was(shown: Page) -> None:
    shown.evaluate(
        """() => {
            window.heard = [];
            for (const audio of document.querySelectorAll(".player audio")) {
                const note = () => audio.paused || heard.push(audio.currentTime);
                audio.addEventListener("timeupdate", note);
            }
        }"""
    )

    def heard() -> list[float]:
        """Return the places that have been played."""
        places: list[float] = shown.evaluate("heard")
        return places

    sample = shown.get_by_label("Play a sample of SPEAKER_03")
    place = shown.get_by_label("Place")
    place.fill("25")
    sample.click()
    until(lambda: heard() and heard_at(shown)[0] == "")
    expect(place).to_have_attribute("aria-valuetext", "0:25 of 0:30")
    expect(sample).to_be_focused()
    assert min(heard()) >= 18
    assert max(heard()) < 25
    shown.get_by_label("Play a sample of SPEAKER_02").click()
    until(lambda: heard()[-1] < 18)
    shown.evaluate(
        """() => {
            for (const audio of document.querySelectorAll(".player audio"))
                audio.playbackRate = audio.defaultPlaybackRate = 0.25;
        }"""
    )  # so that the next one lasts until it is stopped
    shown.get_by_label("Play a sample of SPEAKER_01").click()
    until(lambda: heard()[-1] >= 22)
    expect(shown.get_by_label("Play a sample of SPEAKER_02")).to_be_visible()
    shown.locator("[data-speaker=SPEAKER_01]").get_by_role("button", name="Stop").click()
    expect(place).to_have_attribute("aria-valuetext", "0:25 of 0:30")
    assert heard_at(shown)[0] == ""


def test_of_two_samples_the_last_one_that_was_asked_for_is_played(shown: Page) -> None:
    samples = held(shown, "**/sample")
    asked = []
    for speaker in ("SPEAKER_02", "SPEAKER_01"):
        shown.get_by_label(f"Play a sample of {speaker}").click()
        asked.append(begun(shown, samples))
    playing = shown.locator(".speakers li").filter(has=shown.get_by_role("button", name="Stop"))
    asked[1].continue_()
    expect(playing).to_have_attribute("data-speaker", "SPEAKER_01")
    with shown.expect_response("**/SPEAKER_02/sample"):
        asked[0].continue_()
    expect(playing).to_have_attribute("data-speaker", "SPEAKER_01")


def test_without_audio_no_sample_is_offered(house: House, talk: Recording, page: Page) -> None:
    house.database.chunks.update_many({}, {"$set": {"audio_removed_at": START}})
    page.goto(f"/recordings/{talk.id}")
    expect(names(page)).to_have_count(3)
    expect(page.get_by_text("The audio was removed")).to_be_visible()
    expect(page.get_by_label("Play a sample of SPEAKER_01")).to_be_disabled()


def test_two_are_merged_once_it_is_said_that_they_are_one(
    tab: Page, house: House, talk: Recording
) -> None:
    rename(house.database, talk, "SPEAKER_02", "Bob")
    expect(names(tab).nth(1)).to_have_text("Bob")
    opened = tab.get_by_role("button", name="Merge…")
    opened.click()
    tab.get_by_role("button", name="Cancel").click()
    expect(opened).to_be_focused()
    opened.click()
    dialog = tab.get_by_role("dialog")
    agreed = dialog.get_by_role("button", name="Merge")
    dialog.locator("[name=who]").select_option("SPEAKER_02")
    dialog.locator("[name=into]").select_option("SPEAKER_02")
    agreed.click()
    expect(tab.get_by_role("alert")).to_have_text("Choose two different speakers.")
    dialog.locator("[name=who]").select_option("SPEAKER_03")
    rename(house.database, talk, "SPEAKER_02", "Rob")
    agreed.click()
    expect(tab.get_by_role("alert")).to_contain_text(
        "Bob was given another name in the meantime: Rob"
    )
    assert len(read(house.database, talk).listed()) == 3
    agreed.click()
    expect(dialog).to_be_hidden()
    expect(names(tab)).to_have_text(["SPEAKER_01", "Rob"])
    expect(opened).to_be_focused()
    expect(tab.locator(".transcript > li p").nth(1)).to_have_text("Rob: Two. Three.")
    opened.press("Enter")
    agreed.click()
    expect(names(tab)).to_have_text(["Rob"])
    expect(opened).to_be_hidden()
    assert tab.evaluate("document.activeElement.closest('.speakers') !== null")


def test_where_speakers_are_not_asked_for_any_more_there_are_none(
    shown: Page, house: House, talk: Recording
) -> None:
    house.database.recordings.update_one({"_id": talk.id}, {"$set": {"speakers": None}})
    add_conversation(house.database, (0.0, 1.0, "", "A change of the queue: the page loads."))
    expect(names(shown)).to_have_count(0)
