"""Filters of recordings in requests, over real HTTP."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from stt.store.database import Database
from tests.support.coordinator_app import CoordinatorThread, KeyedSession
from tests.support.recordings_in_queue import NOW, post_recording, transcribe


@pytest.fixture
def person(coordinator: CoordinatorThread) -> Iterator[KeyedSession]:
    with coordinator.person() as session:
        yield session


def test_a_request_names_all_that_a_recording_must_have(
    queue: Database, person: KeyedSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stt.coordinator.context._EXACT_SECONDS", 0.0)
    wanted = post_recording(
        queue, 1, filename="a.wav", path="A/a.wav", folder="talks", start=NOW, duration=90.0
    )
    post_recording(queue, 1, filename="b.wav", language="fr", model="large-v3", duration=3.0)
    transcribe(queue, wanted, 0, "Hallo.", language="de")
    late = (NOW + timedelta(days=1)).isoformat()
    fitting = {
        "search": "a.w", "state": "done", "folder": "talks/A", "language": "de", "model": "tiny",
        "recorded_from": NOW.isoformat(), "recorded_to": late, "added_from": NOW.isoformat(),
        "added_to": late, "min_seconds": "90", "max_seconds": "90", "id": wanted,
    }  # fmt: skip
    other = {
        "search": "b.w", "state": "open", "folder": "talks/B", "language": "fr", "model": "base",
        "recorded_from": late, "recorded_to": NOW.isoformat(), "added_from": late,
        "added_to": NOW.isoformat(), "min_seconds": "91", "max_seconds": "89", "id": "0" * 24,
    }  # fmt: skip
    assert person.get("/api/recordings/ids", params=fitting).json() == {"ids": [wanted]}
    assert person.get("/api/recordings", params=fitting).json()["total"] == 1
    for name, value in other.items():
        found = person.get("/api/recordings/ids", params={**fitting, name: value})
        assert found.json() == {"ids": []}, name
    choices = person.get("/api/recordings/choices").json()
    assert choices["folders"][-1] == {"value": "talks/A", "recordings": 1}
    assert [one["value"] for one in choices["languages"]] == ["de", "fr"]
    transcribe(queue, wanted, 0, "Hello.", language="en")
    found = person.get("/api/recordings/ids", params=fitting)
    assert found.json() == {"ids": []}, "what is done to all that match is done to no others"


@pytest.mark.parametrize(
    "query", ["added_from=2026-01-01T00:00", "min_seconds=-1", "sort=odd", "cursor=odd", "state=x"]
)
def test_what_can_be_no_filter_is_refused(person: KeyedSession, query: str) -> None:
    assert person.get(f"/api/recordings?{query}").status_code == 422
