"""Which requests are of another site's page, by what browsers send."""

import pytest

from stt.serving.senders import Sender, is_followed_link, sender_of

OWN, OTHER, UNKNOWN = Sender.OWN_PAGE, Sender.OTHER_PAGE, Sender.UNKNOWN


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"sec-fetch-site": "same-origin"}, OWN),
        ({"sec-fetch-site": "same-origin", "origin": "https://by-a-proxy.example"}, OWN),
        ({"sec-fetch-site": "same-site", "origin": "http://hub", "host": "hub"}, OTHER),
        ({"sec-fetch-site": "cross-site"}, OTHER),
        ({"sec-fetch-site": "none"}, UNKNOWN),
        ({"sec-fetch-site": "none", "origin": "moz-extension://1f2e", "host": "hub"}, OTHER),
        ({"origin": "http://hub:8000", "host": "hub:8000"}, OWN),
        ({"origin": "https://hub", "host": "hub"}, OWN),
        ({"origin": "http://hub:8000", "host": "hub"}, OTHER),
        ({"origin": "https://stt.example.org", "host": "inside:8000"}, OWN),
        ({"origin": "http://stt.example.org", "host": "inside:8000"}, OTHER),
        ({"origin": "null", "host": "null"}, OTHER),
        ({"origin": "://", "host": ""}, OTHER),
        ({"host": "hub"}, UNKNOWN),
        ({}, UNKNOWN),
    ],
    ids=str,
)
def test_the_sender_is_found_by_what_no_page_can_set(
    headers: dict[str, str], expected: Sender
) -> None:
    assert sender_of(headers, "https://stt.example.org") is expected


@pytest.mark.parametrize(
    ("method", "mode", "destination", "expected"),
    [
        ("GET", "navigate", "document", True),
        ("POST", "navigate", "document", False),
        ("GET", "navigate", "iframe", False),
        ("GET", "no-cors", "image", False),
        ("GET", "websocket", "empty", False),
    ],
)
def test_a_link_opens_a_window_and_is_no_form_frame_or_image(
    method: str, mode: str, destination: str, expected: bool
) -> None:
    headers = {"sec-fetch-mode": mode, "sec-fetch-dest": destination}
    assert is_followed_link(headers, method) is expected
    assert not is_followed_link({}, method)
