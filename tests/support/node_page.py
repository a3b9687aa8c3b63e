"""A node's own page, without a node: it shows the state that a test gives it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Route, expect

import stt.node.page

_WEB = Path(stt.node.page.__file__).with_name("web")
_URL = "http://node.test/"
_STATE: dict[str, Any] = {
    "name": "Mac Studio", "phase": "working", "is_reached": True, "detail": "",
    "jobs": [
        {"chunk_ids": ["1"], "filename": "talk.mp3", "seconds": 30.0, "elapsed_seconds": 4.0}
    ],
    "counts": {"transcribed": 3}, "server_url": "http://10.0.0.2:8000", "node_id": "mac",
    "fleet": {"counts": {"pending": 3}, "eta_seconds": 80, "nodes": {"busy": 1, "online": 1}},
}  # fmt: skip


@contextlib.contextmanager
def node_page(browser: Browser, state: dict[str, Any]) -> Iterator[Page]:
    """Open it; `state` is laid over that of a node that transcribes talk.mp3.

    What is changed in `state` afterwards shows two seconds later; without anything in it the node
    is gone.
    """

    def answer(route: Route) -> None:
        path = route.request.url.removeprefix(_URL)
        if path != "api/state":
            route.fulfill(path=_WEB / (path or "index.html"))
        elif state:
            route.fulfill(json=_STATE | state)
        else:
            route.abort()

    page = browser.new_page()
    page.route(f"{_URL}**", answer)
    page.goto(_URL)
    expect(page.get_by_role("heading", level=1)).to_have_text("Mac Studio")
    yield page
    page.close()
