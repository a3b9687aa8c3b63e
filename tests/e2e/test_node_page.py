"""What a node's own page says, in each of its states."""

from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.support.node_page import node_page

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"phase": "working"}, "Transcribing"),
        ({"phase": "working", "jobs": []}, "Idle"),
        ({"phase": "stopping"}, "Stops"),
        ({"phase": "paused"}, "Paused"),
        ({"phase": "starting", "jobs": []}, "Starts the whisper server"),
        ({"phase": "connecting", "jobs": [], "is_reached": False}, "Connecting to the coordinator"),
        ({"phase": "waiting", "jobs": [], "detail": "No model."}, "Waits to try again"),
    ],
)
def test_its_state_is_said_also_with_work_in_its_hands(
    browser: Browser, state: dict[str, Any], words: str
) -> None:
    with node_page(browser, state) as page:
        expect(page.locator("#phase")).to_have_text(words)


def test_what_is_shown_of_a_node_that_is_gone_is_called_old(browser: Browser) -> None:
    state: dict[str, Any] = {"counts": {"transcribed": 123_456}}
    with node_page(browser, state) as page:
        expect(page.locator("#transcribed")).to_have_text("123,456")
        expect(page.get_by_role("alert")).to_be_hidden()
        state.clear()
        expect(page.locator("#phase")).to_have_text("This node does not run any more")
        expect(page.get_by_role("alert")).to_have_text("What you see is how it was at last.")
