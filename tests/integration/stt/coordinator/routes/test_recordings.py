"""Recordings over real HTTP."""

from collections.abc import Iterator

import pytest
from bson import ObjectId

from stt.domain.chunk import chunk_id
from stt.domain.claim import ClaimRules
from stt.domain.transcript import Transcript
from stt.errors import ClaimLost
from stt.store.claims import MongoClaims
from stt.store.database import Database
from stt.store.edits import edit_segment
from tests.support.coordinator_app import CoordinatorThread, KeyedSession
from tests.support.queue_builder import add_chunks, chunk, document
from tests.support.recordings_in_queue import NOW, post_recording, set_chunk, transcribe


@pytest.fixture
def database(queue: Database) -> Database:
    return queue


@pytest.fixture
def person(coordinator: CoordinatorThread, database: Database) -> Iterator[KeyedSession]:
    with coordinator.person() as session:
        yield session


class TestTheList:
    def test_those_that_are_asked_for_by_their_ids_are_listed(
        self, database: Database, person: KeyedSession
    ) -> None:
        ids = [post_recording(database, 1, filename=f"{number}.mp3") for number in range(4)]
        wanted = [ids[0], ids[2], "0" * 24]
        page = person.get("/api/recordings", params={"id": wanted}).json()
        assert [received["id"] for received in page["recordings"]] == [ids[2], ids[0]]
        assert page["total"] == 2
        page = person.get("/api/recordings", params={"id": wanted, "search": "0.mp3"}).json()
        assert [received["id"] for received in page["recordings"]] == [ids[0]]

    def test_a_recording_is_told_with_its_chunks_by_state(
        self, database: Database, person: KeyedSession
    ) -> None:
        recording_id = post_recording(
            database, 4, filename="talk.mp3", language="en", model="large-v3", priority=2, start=NOW
        )
        transcribe(database, recording_id, 0, "Hello.")
        set_chunk(database, recording_id, 1, failed_at=NOW)
        set_chunk(database, recording_id, 2, processing_by="box_1")
        [received] = person.get("/api/recordings").json()["recordings"]
        assert received == {
            "id": recording_id,
            "filename": "talk.mp3",
            "path": None,
            "label": "talk.mp3",
            "duration": 120.0,
            "start": "2026-01-02T00:00:00Z",
            "created_at": "2026-01-02T00:00:00Z",
            "is_ingesting": False,
            "language": "en",
            "prompt": None,
            "model": "large-v3",
            "hotwords": None,
            "task": "transcribe",
            "channels": "mix",
            "priority": 2,
            "counts": {"pending": 1, "processing": 1, "transcribed": 1, "failed": 1},
            "silent_speech_seconds": 0.0,
            "track": None,
            "warnings": [],
            "full_folder": None,
            "text_languages": [],
            "text_models": ["tiny"],
            "speakers": None,
            "max_speakers": None,
            "chunk_count": 4,
        }
        assert person.get(f"/api/recordings/{recording_id}").json() == received

    def test_namesakes_are_told_apart_and_found_by_their_folders(
        self, database: Database, person: KeyedSession
    ) -> None:
        for folder in ("A", "B"):
            path = f"{folder}/caf\u00e9.wav"
            post_recording(database, 0, filename="caf\u00e9.wav", path=path, folder="talks")
        listed = person.get("/api/recordings").json()["recordings"]
        assert [(one["path"], one["label"]) for one in listed] == [("B/café.wav",) * 2,
                                                                   ("A/café.wav",) * 2]  # fmt: skip
        for search, count in (("a/CAFE\u0301", 1), ("talks", 2), ("C/", 0)):
            assert person.get("/api/recordings", params={"search": search}).json()["total"] == count

    def test_pages_hold_every_recording_once_newest_first(
        self, database: Database, person: KeyedSession
    ) -> None:
        ids = [post_recording(database, 0) for _ in range(7)]
        seen, cursor = [], None
        while True:
            query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
            page = person.get("/api/recordings", params=query).json()
            seen += [received["id"] for received in page["recordings"]]
            assert page["total"] == 7
            if (cursor := page["cursor"]) is None:
                break
        assert seen == ids[::-1]
        oldest = person.get("/api/recordings?sort=old&limit=2").json()
        assert [received["id"] for received in oldest["recordings"]] == ids[:2]

    @pytest.mark.parametrize(
        ("state", "expected"),
        [
            ("open", {"begun", "cut"}),
            ("failed", {"broken"}),
            ("done", {"done", "silent"}),
            ("all", {"begun", "cut", "broken", "done", "silent"}),
        ],
    )
    def test_they_can_be_told_apart_by_state(
        self, database: Database, person: KeyedSession, state: str, expected: set[str]
    ) -> None:
        for name in ("begun", "broken", "done"):
            recording_id = post_recording(database, 2, filename=name)
            transcribe(database, recording_id, 0, "Hello.")
            if name == "broken":
                set_chunk(database, recording_id, 1, failed_at=NOW)
            if name == "done":
                transcribe(database, recording_id, 1)
        post_recording(database, 0, filename="silent")
        post_recording(database, 0, filename="cut", ingested_at=None, chunk_count=None)
        page = person.get("/api/recordings", params={"state": state}).json()
        assert {received["filename"] for received in page["recordings"]} == expected
        assert page["total"] == len(expected)

    @pytest.mark.parametrize(
        ("search", "expected"),
        [
            ("talk", ["Talk (1).mp3"]),
            ("(1)", ["Talk (1).mp3"]),
            (".*", []),
            ("\0", None),
            ("ä", ["Ä"]),
        ],
    )
    def test_a_part_of_the_name_finds_it(
        self, database: Database, person: KeyedSession, search: str, expected: list[str] | None
    ) -> None:
        for name in ("Talk (1).mp3", "Ä"):
            post_recording(database, 0, filename=name)
        answer = person.get("/api/recordings", params={"search": search})
        assert answer.status_code == 200
        names = [received["filename"] for received in answer.json()["recordings"]]
        assert expected is None or names == expected

    def test_what_is_unknown_or_no_id_is_said_so(self, person: KeyedSession) -> None:
        nobody = f"/api/recordings/{ObjectId()}"
        for path in ("", "/transcript", "/chunks"):
            assert person.get(nobody + path).status_code == 404
            assert person.get(f"/api/recordings/nonsense{path}").status_code == 422
        assert person.get(f"/results/{ObjectId()}").status_code == 404
        assert person.delete(nobody).status_code == 404
        assert person.patch(nobody, json={"priority": 1}).status_code == 404
        assert person.post(nobody + "/transcribe").status_code == 404


class TestChanges:
    def test_a_priority_reaches_the_chunks_that_are_not_transcribed(
        self, database: Database, person: KeyedSession
    ) -> None:
        recording_id = post_recording(database, 3)
        done = transcribe(database, recording_id, 0, "Hello.")
        received = person.patch(f"/api/recordings/{recording_id}", json={"priority": 9}).json()
        assert received["priority"] == 9
        assert document(database, done)["priority"] == 0
        assert database.chunks.count_documents({"priority": 9}) == 2

    def test_what_is_left_out_stays_and_null_takes_a_wish_back(
        self, database: Database, person: KeyedSession
    ) -> None:
        recording_id = post_recording(database, 1, language="en", prompt="Ann", model="tiny")
        received = person.patch(
            f"/api/recordings/{recording_id}",
            json={"language": "de", "model": None, "hotwords": "Bo", "task": "translate"},
        ).json()
        assert (received["language"], received["prompt"], received["model"]) == ("de", "Ann", None)
        assert (received["hotwords"], received["task"]) == ("Bo", "translate")
        back = {"hotwords": None, "task": None}
        received = person.patch(f"/api/recordings/{recording_id}", json=back).json()
        assert (received["hotwords"], received["task"]) == (None, "transcribe")

    @pytest.mark.parametrize(
        ("change", "speakers", "most"),
        [
            ({"speakers": "auto"}, 0, None),
            ({"speakers": 3}, 3, None),
            ({"max_speakers": 5}, 0, 5),
            ({"speakers": 0, "max_speakers": 5}, 0, 5),
            ({"speakers": None}, None, None),
        ],
    )
    def test_speakers_are_asked_for_and_not_any_more(
        self,
        database: Database,
        person: KeyedSession,
        change: dict[str, object],
        speakers: int | None,
        most: int | None,
    ) -> None:
        path = f"/api/recordings/{post_recording(database, 1, speakers=2)}"
        received = person.patch(path, json=change).json()
        assert (received["speakers"], received["max_speakers"]) == (speakers, most)
        assert person.post(f"{path}/transcribe", json=change).json() == {"chunks": 1}
        received = person.get(path).json()
        assert (received["speakers"], received["max_speakers"]) == (speakers, most)

    def test_a_change_that_is_refused_changes_nothing(
        self, database: Database, person: KeyedSession
    ) -> None:
        path = f"/api/recordings/{post_recording(database, 1, channels='split')}"
        name = person.get(path).json()["filename"]
        refused = person.patch(path, json={"filename": "other.mp3", "speakers": "auto"})
        assert refused.status_code == 409
        assert person.get(path).json()["filename"] == name

    @pytest.mark.parametrize(
        ("change", "status", "message"),
        [
            ({"speakers": -1}, 422, "speakers: at least 0"),
            ({"speakers": 10**30}, 422, "speakers: at most 50"),
            ({"speakers": "many"}, 422, "speakers: `auto`, or a number up to 50, is needed"),
            ({"speakers": True}, 422, "speakers: `auto`, or a number up to 50, is needed"),
            ({"max_speakers": 0}, 422, "max_speakers: at least 1"),
            ({"max_speakers": True}, 422, "max_speakers: a whole number is needed"),
            ({"speakers": 3, "max_speakers": 5}, 422, "leave out one of the two"),
            ({"speakers": None, "max_speakers": 5}, 422, "leave out max_speakers"),
            ({"speakers": 0}, 409, "Each of its channels is a speaker already"),
        ],
    )
    def test_a_wrong_number_of_speakers_is_refused_with_one_sentence(
        self,
        database: Database,
        person: KeyedSession,
        change: dict[str, object],
        status: int,
        message: str,
    ) -> None:
        path = f"/api/recordings/{post_recording(database, 1, channels='split')}"
        for answer in (
            person.patch(path, json=change),
            person.post(f"{path}/transcribe", json=change),
        ):
            assert answer.status_code == status
            assert message in answer.json()["error"]["message"]

    @pytest.mark.parametrize("language", [None, "", "auto"])
    def test_a_language_may_be_left_to_the_model_again(
        self, database: Database, person: KeyedSession, language: str | None
    ) -> None:
        recording_id = post_recording(database, 1, language="en")
        changed = person.patch(f"/api/recordings/{recording_id}", json={"language": language})
        assert changed.json()["language"] is None

    @pytest.mark.parametrize(
        "change",
        [
            {"language": "?!"},
            {"model": "a b"},
            {"task": "sing"},
            {"hotwords": "x" * 10_001},
            {"priority": 10**12},
            {"priority": None},
        ],
    )
    def test_a_wish_that_can_be_none_is_refused(
        self, database: Database, person: KeyedSession, change: dict[str, object]
    ) -> None:
        recording_id = post_recording(database, 1)
        assert person.patch(f"/api/recordings/{recording_id}", json=change).status_code == 422

    def test_it_is_transcribed_again_with_another_model(
        self, database: Database, person: KeyedSession
    ) -> None:
        recording_id = post_recording(database, 2, language="en")
        done = transcribe(database, recording_id, 0, "Hello.")
        set_chunk(database, recording_id, 1, failed_at=NOW, attempts=3)
        answer = person.post(
            f"/api/recordings/{recording_id}/transcribe", json={"model": "large-v3"}
        )
        assert answer.json() == {"chunks": 2}
        received = person.get(f"/api/recordings/{recording_id}").json()
        assert (received["counts"]["pending"], received["model"], received["language"]) == (
            2,
            "large-v3",
            "en",
        )
        assert document(database, done)["transcribed_at"] is None
        assert "Hello." in person.get(f"/results/{recording_id}").text
        [row] = person.get("/tasks?state=pending").json()["tasks"][:1]
        assert row["text"] == "Hello."

    def test_edited_text_is_not_transcribed_again_unasked(
        self, database: Database, person: KeyedSession
    ) -> None:
        recording_id = post_recording(database, 1)
        chunk_id = transcribe(database, recording_id, 0, "Hello.")
        edit_segment(database, chunk_id, 0, "Hallo.", before="Hello.")
        paths = (f"/api/recordings/{recording_id}/transcribe", f"/api/queue/{chunk_id}/reset")
        for path in paths:
            answer = person.post(path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (409, "has_edits")
            assert "1 line was edited" in answer.json()["error"]["message"]
        assert document(database, chunk_id)["transcribed_at"] is not None
        assert person.post(paths[0], json={"drop_edits": True}).json() == {"chunks": 1}
        assert person.post(f"{paths[1]}?drop_edits=true").status_code == 200

    def test_it_is_renamed_and_the_second_of_two_is_told(
        self, database: Database, person: KeyedSession
    ) -> None:
        path = f"/api/recordings/{post_recording(database, 1, filename='a.mp3')}"
        change = {"filename": "b", "filename_before": "a.mp3", "priority": 3}
        received = person.patch(path, json=change).json()
        assert (received["filename"], received["priority"]) == ("b.mp3", 3)
        second = person.patch(path, json={**change, "filename": "c"})
        assert (second.status_code, second.json()["error"]["code"]) == (409, "edit_conflict")
        refused = person.patch(path, json={"filename": "a/b"})
        assert (refused.status_code, refused.json()["error"]["message"]) == (
            422,
            "filename: a name is needed, without folders.",
        )


class TestRemoval:
    def test_nothing_of_it_is_left_and_the_others_stay(
        self, database: Database, person: KeyedSession
    ) -> None:
        kept = post_recording(database, 2)
        recording_id = post_recording(database, 3)
        assert person.delete(f"/api/recordings/{recording_id}").status_code == 204
        assert person.get(f"/api/recordings/{recording_id}").status_code == 404
        assert database.chunks.count_documents({}) == database.audio.count_documents({}) == 2
        assert person.get(f"/api/recordings/{kept}").status_code == 200

    def test_what_is_in_work_is_lost_to_its_worker(
        self, database: Database, person: KeyedSession
    ) -> None:
        recording_id = post_recording(database, 1)
        [held] = [c["_id"] for c in database.chunks.find()]
        alice = MongoClaims(database, "alice_1", ClaimRules(60, 3, 5))
        claim = alice.claim(chunk(database, held))
        assert claim is not None
        assert person.delete(f"/api/recordings/{recording_id}").status_code == 204
        with pytest.raises(ClaimLost):
            alice.complete(claim, Transcript())
        assert database.chunks.count_documents({}) == 0

    def test_one_that_only_its_chunks_know_of_goes_too(
        self, database: Database, person: KeyedSession
    ) -> None:
        recording_id = ObjectId()
        add_chunks(database, 2, recording_id=recording_id)
        assert person.get(f"/api/recordings/{recording_id}").json()["counts"]["pending"] == 2
        assert person.delete(f"/api/recordings/{recording_id}").status_code == 204
        assert database.chunks.count_documents({}) == 0

    def test_one_that_broke_off_can_be_asked_for_again(
        self, database: Database, person: KeyedSession
    ) -> None:
        recording_id = ObjectId(post_recording(database, 0, chunk_count=3))
        # The chunks went, and the process before it could remove their audio.
        ids = [chunk_id(recording_id, index) for index in range(3)]
        database.audio.insert_many([{"_id": id_, "data": b"opus"} for id_ in ids])
        assert person.delete(f"/api/recordings/{recording_id}").status_code == 204
        assert database.recordings.count_documents({}) == database.audio.count_documents({}) == 0


def test_a_node_sees_no_recordings(coordinator: CoordinatorThread, database: Database) -> None:
    recording_id = post_recording(database, 1)
    _, key = coordinator.join()
    with coordinator.node(key) as node:
        for path in (
            "/api/recordings",
            f"/api/recordings/{recording_id}",
            f"/results/{recording_id}",
        ):
            assert node.get(path).status_code == 403
        assert node.delete(f"/api/recordings/{recording_id}").status_code == 403
