"""Recordings and their transcripts over real HTTP."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pymongo
import pytest
from bson import ObjectId

from stt.domain.chunk import chunk_id
from stt.domain.claim import ClaimRules
from stt.domain.transcript import Transcript
from stt.errors import ClaimLost
from stt.store.claims import MongoClaims
from stt.store.database import Database
from tests.support.coordinator_app import CoordinatorThread, KeyedSession, running_coordinator
from tests.support.queue_builder import add_chunks, add_recording, chunk, document

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@dataclass(frozen=True)
class Site:
    database: Database
    coordinator: CoordinatorThread


@pytest.fixture(scope="module")
def site(mongo_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    name = f"stt_test_{ObjectId()}"
    with Database(mongo_url, name) as database:
        database.ensure_indexes()
        with running_coordinator(database, tmp_path_factory.mktemp("data")) as coordinator:
            yield Site(database, coordinator)
    with pymongo.MongoClient[dict[str, object]](mongo_url) as client:
        client.drop_database(name)


@pytest.fixture
def database(site: Site) -> Database:
    for collection in ("uploads", "recordings", "chunks", "audio", "nodes"):
        getattr(site.database, collection).delete_many({})
    return site.database


@pytest.fixture
def person(site: Site, database: Database) -> Iterator[KeyedSession]:
    with site.coordinator.person() as session:
        yield session


def post_recording(database: Database, count: int = 3, **fields: Any) -> str:
    """Add a recording that is complete, with pending chunks of 30 s."""
    usual = {"ingested_at": NOW, "chunk_count": count, "duration": 30.0 * count, "created_at": NOW}
    recording_id = add_recording(database, **{**usual, **fields})
    if count:
        add_chunks(database, count, recording_id=recording_id, audio=b"opus")
    return str(recording_id)


def set_chunk(database: Database, recording_id: str, index: int, **fields: Any) -> ObjectId:
    query = {"original_id": ObjectId(recording_id), "index": index}
    database.chunks.update_one(query, {"$set": fields})
    found = database.chunks.find_one(query)
    assert found is not None
    found_id: ObjectId = found["_id"]
    return found_id


def transcribe(
    database: Database, recording_id: str, index: int, *texts: str, **fields: Any
) -> ObjectId:
    segments = [{"start": 5.0 * n, "end": 5.0 * n + 4, "text": t} for n, t in enumerate(texts)]
    usual = {"worker": "box_1", "model": "tiny", "server": "http://gpu:8081"}
    transcript = {**usual, **fields, "segments": segments}
    return set_chunk(database, recording_id, index, transcribed_at=NOW, transcript=transcript)


class TestTheList:
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
            "duration": 120.0,
            "start": "2026-01-02T00:00:00Z",
            "created_at": "2026-01-02T00:00:00Z",
            "is_ingesting": False,
            "language": "en",
            "prompt": None,
            "model": "large-v3",
            "priority": 2,
            "counts": {"pending": 1, "processing": 1, "transcribed": 1, "failed": 1},
            "chunk_count": 4,
        }
        assert person.get(f"/api/recordings/{recording_id}").json() == received

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
            f"/api/recordings/{recording_id}", json={"language": "de", "model": None}
        ).json()
        assert (received["language"], received["prompt"], received["model"]) == ("de", "Ann", None)

    @pytest.mark.parametrize(
        "change", [{"language": "?!"}, {"model": "a b"}, {"priority": 10**12}, {"priority": None}]
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
        assert document(database, done)["transcript"] is None


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


class TestTheTranscript:
    def test_a_line_says_where_its_audio_is(self, database: Database, person: KeyedSession) -> None:
        recording_id = post_recording(database, 3)
        first = transcribe(database, recording_id, 0, "Hello.", "Hello again.")
        third = transcribe(database, recording_id, 2, "Goodbye.")
        received = person.get(f"/api/recordings/{recording_id}/transcript").json()
        lines = [
            (x["chunk_id"], x["start"], x["chunk_start"], x["text"]) for x in received["lines"]
        ]
        assert lines == [
            (str(first), 0.0, 0.0, "Hello."),
            (str(first), 5.0, 0.0, "Hello again."),
            (str(third), 60.0, 60.0, "Goodbye."),
        ]
        assert received["gaps"] == [{"start": 30.0, "end": 60.0, "state": "pending"}]
        assert (received["is_partial"], received["cursor"]) == (True, None)

    def test_it_comes_in_pages(self, database: Database, person: KeyedSession) -> None:
        recording_id = post_recording(database, 60)
        for index in range(0, 60, 2):
            transcribe(database, recording_id, index, f"{index}.", f"{index} again.")
        texts, gaps, cursor = [], [], ""
        while True:
            query = f"?limit=7{cursor}"
            page = person.get(f"/api/recordings/{recording_id}/transcript{query}").json()
            texts += [line["text"] for line in page["lines"]]
            gaps += page["gaps"]
            assert bool(page["made_by"]) == (not cursor)
            if page["cursor"] is None:
                break
            cursor = f"&cursor={page['cursor']}"
        assert texts == [t for i in range(0, 60, 2) for t in (f"{i}.", f"{i} again.")]
        assert [gap["start"] for gap in gaps] == [30.0 * i for i in range(1, 60, 2)]

    def test_gaps_say_why_nothing_is_there(self, database: Database, person: KeyedSession) -> None:
        recording_id = post_recording(database, 7, chunk_count=8)
        transcribe(database, recording_id, 0, "Hello.")
        set_chunk(database, recording_id, 1, processing_by="box_1")
        set_chunk(database, recording_id, 2, failed_at=NOW)
        set_chunk(database, recording_id, 3, transcribed_at=NOW, transcript="garbled")
        database.chunks.delete_one({"index": 6})
        received = person.get(f"/api/recordings/{recording_id}/transcript").json()
        assert [(gap["start"], gap["end"], gap["state"]) for gap in received["gaps"]] == [
            (30.0, 60.0, "processing"),
            (60.0, 90.0, "failed"),
            (90.0, 120.0, "unreadable"),
            (120.0, 180.0, "pending"),
            (180.0, 210.0, "missing"),
        ]

    def test_it_says_who_made_it_and_with_what(
        self, site: Site, database: Database, person: KeyedSession
    ) -> None:
        node_id, _ = site.coordinator.join("M4 MacBook Pro")
        recording_id = post_recording(database, 3)
        for index in range(2):
            transcribe(database, recording_id, index, worker=f"{node_id}_7", model="large-v3")
        transcribe(database, recording_id, 2)
        received = person.get(f"/api/recordings/{recording_id}/transcript").json()
        server = "http://gpu:8081"
        assert received["made_by"] == [
            {
                "worker": f"{node_id}_7", "node_name": "M4 MacBook Pro", "model": "large-v3",
                "server": server, "chunks": 2,
            },
            {
                "worker": "box_1", "node_name": None, "model": "tiny", "server": server,
                "chunks": 1,
            },
        ]  # fmt: skip
        assert received["is_partial"] is False

    def test_a_player_is_told_every_chunk(self, database: Database, person: KeyedSession) -> None:
        recording_id = post_recording(database, 2)
        done = transcribe(database, recording_id, 0, "Hello.")
        received = person.get(f"/api/recordings/{recording_id}/chunks").json()["chunks"]
        assert received[0] == {
            "id": str(done), "index": 0, "offset": 0.0, "duration": 30.0, "format": "opus",
            "state": "transcribed",
        }  # fmt: skip
        assert (received[1]["offset"], received[1]["state"]) == (30.0, "pending")


class TestResults:
    @pytest.mark.parametrize(
        ("name", "kind", "word"),
        [
            ("txt", "text/plain; charset=utf-8", "Grüße."),
            ("srt", "application/x-subrip; charset=utf-8", "00:00:00,000 --> 00:00:04,000"),
            ("vtt", "text/vtt; charset=utf-8", "WEBVTT"),
            ("tsv", "text/tab-separated-values; charset=utf-8", "start\tend"),
            ("json", "application/json", '"Grüße."'),
        ],
    )
    def test_it_comes_in_every_format(
        self, database: Database, person: KeyedSession, name: str, kind: str, word: str
    ) -> None:
        recording_id = post_recording(database, 1, filename="talk.mp3")
        transcribe(database, recording_id, 0, "Grüße.")
        answer = person.get(f"/results/{recording_id}", params={"format": name})
        assert answer.headers["content-type"] == kind
        assert word in answer.content.decode()
        assert answer.headers["X-Transcript-Partial"] == "false"
        assert answer.headers["Content-Disposition"].startswith(f'inline; filename="talk.{name}"')

    def test_a_partial_one_is_marked(self, database: Database, person: KeyedSession) -> None:
        recording_id = post_recording(database, 2)
        transcribe(database, recording_id, 0, "Hello.")
        answer = person.get(f"/results/{recording_id}")
        assert answer.headers["X-Transcript-Partial"] == "true"
        assert "Partial transcript" in answer.text

    @pytest.mark.parametrize(
        ("filename", "plain", "encoded"),
        [
            ("../../Grüße.mp3", "Gr__e.srt", "Gr%C3%BC%C3%9Fe.srt"),
            ('a"b;c\r\n.mp3', "a_b;c__.srt", "a_b%3Bc__.srt"),
            ("\u202egpj.mp3", "_gpj.srt", "_gpj.srt"),
        ],
    )
    def test_the_name_of_a_download_is_safe(
        self, database: Database, person: KeyedSession, filename: str, plain: str, encoded: str
    ) -> None:
        recording_id = post_recording(database, 1, filename=filename)
        answer = person.get(f"/results/{recording_id}?format=srt&download=1")
        expected = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
        assert answer.headers["Content-Disposition"] == expected

    def test_what_another_program_garbled_is_said_so(
        self, database: Database, person: KeyedSession
    ) -> None:
        recording_id = post_recording(database, 1)
        set_chunk(database, recording_id, 0, transcribed_at=NOW, transcript="garbled")
        answer = person.get(f"/results/{recording_id}?format=txt")
        assert answer.status_code == 422
        assert "cannot be read" in answer.json()["error"]["message"]

    def test_an_unknown_format_is_refused(self, database: Database, person: KeyedSession) -> None:
        recording_id = post_recording(database, 1)
        assert person.get(f"/results/{recording_id}?format=docx").status_code == 422


def test_a_node_sees_no_recordings(site: Site, database: Database) -> None:
    recording_id = post_recording(database, 1)
    _, key = site.coordinator.join()
    with site.coordinator.node(key) as node:
        for path in (
            "/api/recordings",
            f"/api/recordings/{recording_id}",
            f"/results/{recording_id}",
        ):
            assert node.get(path).status_code == 403
        assert node.delete(f"/api/recordings/{recording_id}").status_code == 403
