"""Say in words what an event is, for destinations that people read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stt.domain.visible_text import visible


@dataclass(frozen=True, slots=True)
class Message:
    """A title and a text; `is_failure`: a person should act. `url`: the page about it, if any."""

    title: str
    text: str
    is_failure: bool = False
    url: str | None = None


def message_of(body: str) -> Message:
    """Return the words for an event that `stt.store.event_bodies` described."""
    event = json.loads(body)
    data: Mapping[str, Any] = event["data"]
    failed = int(data["chunks"]["failed"])
    if event["type"] == "queue.empty":
        text = f"{_chunks(failed)} failed: stt status" if failed else "Nothing is left to do."
        return Message("The queue is empty", text, is_failure=bool(failed))
    recording = data["recording"]
    name = visible(str(recording["name"]))
    minutes = _minutes(recording["duration_seconds"])
    if not failed:
        return Message(f"Done: {name}", f"{name}{minutes} is transcribed.", url=recording["url"])
    total = failed + int(data["chunks"]["transcribed"])
    reasons = [visible(f"{failure['kind']}: {failure['message']}") for failure in data["failures"]]
    text = "\n".join([f"{name}{minutes}: {failed} of {_chunks(total)} failed.", *reasons])
    return Message(f"Failed: {name}", text, is_failure=True, url=recording["url"])


def _chunks(count: int) -> str:
    return f"{count} chunk" if count == 1 else f"{count} chunks"


def _minutes(seconds: float | None) -> str:
    return "" if seconds is None else f" ({seconds / 60:.0f} min)" if seconds >= 60 else ""
