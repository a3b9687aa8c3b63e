"""What tests of the coordinator's pages share: what runs behind them, and a person's hands."""

import base64
from dataclasses import dataclass

from playwright.sync_api import Locator, Page

from stt.store.database import Database
from tests.support.coordinator_app import PEOPLES_KEY
from tests.support.coordinator_process import CoordinatorProcess
from tests.support.scripted_server import Answer

WAIT_MS = 60_000


@dataclass(frozen=True)
class House:
    """All that runs behind the pages."""

    coordinator: CoordinatorProcess
    database: Database
    recording: bytes

    @property
    def url(self) -> str:
        return self.coordinator.url

    def empty(self) -> None:
        """Remove what a test has put into the queue, however long that takes on a busy machine."""
        with self.database.without_time_limit() as patient:
            for collection in (
                patient.chunks, patient.audio, patient.recordings, patient.speakers,
                patient.uploads, patient.workers,
            ):  # fmt: skip
                collection.delete_many({})


def said(number: int, upload: bytes) -> Answer:
    """Two lines for each chunk; the longest chunks take a moment, so that they are seen in work."""
    segments = [
        {"start": start, "end": start + 1.5, "text": text, "avg_logprob": -0.1}
        for start, text in ((0.5, f"harbour {number}"), (4.0, f"<b>boat</b> {number}"))
    ]
    text = " ".join(str(segment["text"]) for segment in segments)
    body = {"text": text, "language": "en", "segments": segments}
    return Answer(body=body, delay_seconds=0.3)


def log_in(page: Page, key: str = PEOPLES_KEY) -> None:
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_role("button", name="Log in").click()


def drop(page: Page, target: Locator, name: str, content: bytes) -> None:
    """Lets go of a file over `target`, as a mouse does."""
    transfer = page.evaluate_handle(
        """([name, content]) => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name));
            return transfer;
        }""",
        [name, base64.b64encode(content).decode()],
    )
    for event in ("dragenter", "dragover", "drop"):
        target.dispatch_event(event, {"dataTransfer": transfer})


def heard_at(page: Page) -> tuple[str, float]:
    """The chunk that plays, and where in it: seconds."""
    playing: list[object] = page.evaluate(
        """() => {
            const audio = [...document.querySelectorAll(".player audio")].find((a) => !a.paused);
            return audio ? [audio.getAttribute("src"), audio.currentTime] : ["", 0];
        }"""
    )
    return str(playing[0]), float(str(playing[1]))
