"""Search over HTTP: what is found, its pages, and who may ask."""

import pytest
from bson import ObjectId

from stt.store.database import Database
from tests.support.conversation import add_conversation
from tests.support.coordinator_app import CoordinatorThread, KeyedSession
from tests.support.pace import until
from tests.support.recordings_in_queue import post_recording, transcribe


@pytest.fixture
def talk(queue: Database, person: KeyedSession) -> str:
    """Return the id of a recording with three places of "coffee"; the index is made."""
    recording_id = post_recording(queue, 2, filename="talk.mp3")
    transcribe(queue, recording_id, 0, "Coffee, please.", "Tea for me.", "More coffee?")
    transcribe(queue, recording_id, 1, "No coffee.")
    until(lambda: person.get("/api/search?q=coffee").status_code == 200)
    return recording_id


def test_a_hit_says_where_it_was_said(person: KeyedSession, talk: str) -> None:
    found = person.get("/api/search?q=coffee").json()
    assert [hit["text"] for hit in found["hits"]] == [
        "Coffee, please.", "More coffee?", "No coffee.",
    ]  # fmt: skip
    assert [hit["start"] for hit in found["hits"]] == [0.0, 10.0, 30.0]
    assert {(hit["source_id"], hit["filename"]) for hit in found["hits"]} == {(talk, "talk.mp3")}
    assert found["cursor"] is None


def test_pages_hold_every_hit_once(person: KeyedSession, talk: str) -> None:
    texts, cursor = [], ""
    while True:
        page = person.get(f"/api/search?q=coffee&limit=2{cursor}").json()
        texts += [hit["text"] for hit in page["hits"]]
        if page["cursor"] is None:
            break
        cursor = f"&cursor={page['cursor']}"
    assert texts == ["Coffee, please.", "More coffee?", "No coffee."]


def test_one_recording_can_be_searched_alone(person: KeyedSession, talk: str) -> None:
    for recording_id, count in ((talk, 3), (str(ObjectId()), 0)):
        found = person.get("/api/search", params={"q": "coffee", "source_id": recording_id})
        assert len(found.json()["hits"]) == count


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "unprocessable"),
        ("q=%22", "unprocessable"),
        ("q=" + "+".join("abcdefghijkl"), "unprocessable"),
        ("q=" + "x" * 201, "invalid"),
        ("q=a&limit=0", "invalid"),
        ("q=a&limit=201", "invalid"),
        ("q=a&cursor=x", "invalid"),
        ("q=a&source_id=x", "invalid"),
    ],
    ids=range(8),
)
def test_a_query_that_makes_no_sense_is_refused(
    person: KeyedSession, query: str, code: str
) -> None:
    answer = person.get(f"/api/search?{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)


def test_a_node_may_not(coordinator: CoordinatorThread) -> None:
    _, key = coordinator.join()
    with coordinator.node(key) as node:
        assert node.get("/api/search?q=coffee").status_code == 403


def test_what_a_speaker_says_is_found_by_the_name(queue: Database, person: KeyedSession) -> None:
    recording_id = add_conversation(
        queue, (0.0, 3.0, "A", "The budget."), (3.0, 6.0, "B", "No budget.")
    )
    path = f"/api/recordings/{recording_id}/speakers/SPEAKER_01"
    person.patch(path, json={"name": "Ada", "label_before": "SPEAKER_01"}).raise_for_status()
    for query in ({"speaker": "ada"}, {"speaker": "Ada", "q": "budget"}):
        found = person.get("/api/search", params=query).json()
        assert [(hit["speaker"], hit["text"]) for hit in found["hits"]] == [("Ada", "The budget.")]
    both = person.get("/api/search", params={"q": "budget", "source_id": str(recording_id)}).json()
    assert [hit["speaker"] for hit in both["hits"]] == ["Ada", "SPEAKER_02"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"speaker": "SPEAKER_01"}, "SPEAKER_01 is another speaker in each recording"),
        ({"speaker": "x" * 101}, "speaker: at most 100 characters"),
        ({"speaker": " "}, "no word in it"),
        ({"speaker": "Ada", "q": "!"}, "no word in it"),
        ({}, "no word in it"),
    ],
)
def test_a_search_for_a_speaker_that_cannot_be_is_refused_with_one_sentence(
    queue: Database, person: KeyedSession, query: dict[str, str], message: str
) -> None:
    answer = person.get("/api/search", params=query)
    assert answer.status_code == 422
    assert message in answer.json()["error"]["message"]
