"""The speakers of a recording over real HTTP."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from stt.store.database import Database
from tests.support.conversation import add_conversation
from tests.support.coordinator_app import CoordinatorThread, KeyedSession
from tests.support.queue_builder import START, add_recording

NONE = {"version": 0, "chunks_without": 0, "speakers": []}


@pytest.fixture
def person(coordinator: CoordinatorThread) -> Iterator[KeyedSession]:
    with coordinator.person() as session:
        yield session


@pytest.fixture
def path(queue: Database) -> str:
    """The speakers of a recording in which three speak."""
    recording_id = add_conversation(
        queue, (0.0, 5.0, "A", "One."), (5.0, 8.0, "B", "Two."), (8.0, 9.0, "C", "Three.")
    )
    return f"/api/recordings/{recording_id}/speakers"


def labels(answer: Any) -> list[str]:
    return [one["label"] for one in answer.json()["speakers"]]


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_they_are_listed_and_only_what_is_new_is_sent_again(
    person: KeyedSession, path: str
) -> None:
    first = person.get(path).json()
    assert first["speakers"][0] == {
        "id": "SPEAKER_01", "name": None, "label": "SPEAKER_01", "seconds": 10.0,
    }  # fmt: skip
    seen = {"seen": first["version"]}
    assert person.get(path, params=seen).status_code == 204
    person.patch(f"{path}/SPEAKER_01", json={"name": "Ada"})
    assert labels(person.get(path, params=seen)) == ["Ada", "SPEAKER_02", "SPEAKER_03"]


@pytest.mark.parametrize(
    ("change", "known"), [({"max_speakers": 1}, 1), ({"speakers": 2}, 2), ({"speakers": None}, 0)]
)
def test_other_options_are_another_answer(
    person: KeyedSession, path: str, change: dict[str, int | None], known: int
) -> None:
    seen = {"seen": person.get(path).json()["version"]}
    assert person.get(path, params=seen).status_code == 204
    assert person.patch(path.removesuffix("/speakers"), json=change).ok
    changed = person.get(path, params=seen)
    assert (changed.status_code, len(labels(changed))) == (200, known)
    assert changed.json()["version"] != seen["seen"]


def test_one_is_named_and_the_second_of_two_is_told(person: KeyedSession, path: str) -> None:
    named = {"name": "<b>Ada</b>", "label_before": "SPEAKER_01"}
    assert labels(person.patch(f"{path}/SPEAKER_01", json=named))[0] == "<b>Ada</b>"
    second = person.patch(f"{path}/SPEAKER_01", json={**named, "name": "Eve"})
    assert code(second) == (409, "edit_conflict")
    assert "<b>Ada</b>" in second.json()["error"]["message"]
    text = person.get(path.replace("/speakers", "/transcript")).json()["lines"][0]
    assert text["speaker"] == "<b>Ada</b>"
    without = {"name": None, "label_before": "<b>Ada</b>"}
    assert labels(person.patch(f"{path}/SPEAKER_01", json=without))[0] == "SPEAKER_01"


def test_one_is_merged_for_good(person: KeyedSession, path: str) -> None:
    seen = {"into": "SPEAKER_01", "label_before": "SPEAKER_03", "into_label_before": "SPEAKER_01"}
    stale = person.post(f"{path}/SPEAKER_03/merge", json={**seen, "label_before": "Cy"})
    assert code(stale) == (409, "edit_conflict")
    stale = person.post(f"{path}/SPEAKER_03/merge", json={**seen, "into_label_before": "Ada"})
    assert code(stale) == (409, "edit_conflict")
    merged = person.post(f"{path}/SPEAKER_03/merge", json=seen)
    assert [(one["id"], one["seconds"]) for one in merged.json()["speakers"]] == [
        ("SPEAKER_01", 20.0), ("SPEAKER_02", 10.0),
    ]  # fmt: skip
    gone = person.patch(f"{path}/SPEAKER_03", json={"name": "Cy"})
    assert code(gone) == (404, "not_found")
    assert "SPEAKER_03 was merged into SPEAKER_01" in gone.json()["error"]["message"]


@pytest.mark.parametrize("name", ["A/B", "/", "Ann/sample", "Ann/merge", "50 %?#"])
def test_one_is_found_by_any_name(person: KeyedSession, path: str, name: str) -> None:
    named = f"{path}/{quote(name, safe='')}"
    assert person.patch(f"{path}/SPEAKER_02", json={"name": name}).ok
    assert person.get(f"{named}/sample").json()["start"] == 5.0
    assert labels(person.patch(named, json={"name": f"{name}/2"}))[1] == f"{name}/2"
    into = {"into": "SPEAKER_01"}
    merged = person.post(f"{path}/{quote(name + '/2', safe='')}/merge", json=into)
    assert labels(merged) == [f"{name}/2", "SPEAKER_03"]


def test_it_says_where_each_can_be_heard(queue: Database, person: KeyedSession, path: str) -> None:
    assert person.get(f"{path}/SPEAKER_02/sample").json() == {
        "start": 5.0, "end": 8.0, "channel": None,
    }  # fmt: skip
    assert code(person.get(f"{path}/SPEAKER_09/sample")) == (404, "not_found")
    queue.chunks.update_many({}, {"$set": {"audio_removed_at": START}})
    silent = person.get(f"{path}/SPEAKER_02/sample")
    assert code(silent) == (404, "not_found")
    assert "SPEAKER_02 speaks alone" in silent.json()["error"]["message"]


@pytest.mark.parametrize(
    ("speaker", "body", "expected"),
    [
        ("SPEAKER_01", {"name": "speaker_02"}, (422, "configuration")),
        ("SPEAKER_01", {"name": "x" * 101}, (422, "configuration")),
        ("SPEAKER_01", {"name": "x" * 1_001}, (422, "invalid")),
        ("SPEAKER_01", {}, (422, "invalid")),
        ("Eve", {"name": "x"}, (404, "not_found")),
    ],
)
def test_what_cannot_be_is_refused(
    person: KeyedSession, path: str, speaker: str, body: object, expected: tuple[int, str]
) -> None:
    assert code(person.patch(f"{path}/{speaker}", json=body)) == expected


def test_without_speakers_there_are_none(queue: Database, person: KeyedSession) -> None:
    path = f"/api/recordings/{add_recording(queue)}/speakers"
    for seen in ({}, {"seen": 0}):
        assert person.get(path, params=seen).json() == NONE
    assert code(person.patch(f"{path}/SPEAKER_01", json={"name": "x"})) == (404, "not_found")
    assert person.get("/api/recordings/000000000000000000000000/speakers").status_code == 404


def test_text_without_them_is_counted(queue: Database, person: KeyedSession, path: str) -> None:
    assert person.get(path).json()["chunks_without"] == 0
    queue.chunks.update_many({}, {"$unset": {"transcript.speakers": ""}})
    assert person.get(path).json()["chunks_without"] == 1
    assert person.patch(path.removesuffix("/speakers"), json={"speakers": None}).ok
    assert person.get(path).json()["chunks_without"] == 0


def test_where_they_were_turned_off_none_is_changed(
    queue: Database, person: KeyedSession, path: str
) -> None:
    person.get(path)
    before = queue.speakers.find_one({})
    assert before is not None
    recording = path.removesuffix("/speakers")
    assert person.patch(recording, json={"speakers": None}).ok
    assert person.get(path).json() == NONE
    named = person.patch(f"{path}/SPEAKER_01", json={"name": "Ada"})
    merged = person.post(f"{path}/SPEAKER_03/merge", json={"into": "SPEAKER_01"})
    assert code(named) == code(merged) == (404, "not_found")
    assert "not asked for" in named.json()["error"]["message"]
    assert queue.speakers.find_one({}) == before
    assert person.patch(recording, json={"speakers": 0}).ok
    assert labels(person.get(path)) == ["SPEAKER_01", "SPEAKER_02", "SPEAKER_03"]
