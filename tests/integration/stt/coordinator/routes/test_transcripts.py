"""Transcripts over real HTTP: page by page, and as files."""

from collections.abc import Iterator

import pytest

from stt.store.database import Database
from tests.support.coordinator_app import CoordinatorThread, KeyedSession
from tests.support.recordings_in_queue import NOW, post_recording, set_chunk, transcribe


@pytest.fixture
def database(queue: Database) -> Database:
    return queue


@pytest.fixture
def person(coordinator: CoordinatorThread, database: Database) -> Iterator[KeyedSession]:
    with coordinator.person() as session:
        yield session


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

    def test_a_line_is_edited_and_the_second_of_two_is_told(
        self, database: Database, person: KeyedSession
    ) -> None:
        recording_id = post_recording(database, 1)
        chunk_id = transcribe(database, recording_id, 0, "Hello.", "I am Jon.")
        path = f"/api/chunks/{chunk_id}/segments/1"
        edit = {"text": "I am John.", "text_before": "I am Jon."}
        assert person.patch(path, json=edit).json() == {
            "text": "I am John.",
            "model_text": "I am Jon.",
        }
        [_, line] = person.get(f"/api/recordings/{recording_id}/transcript").json()["lines"]
        assert (line["segment"], line["text"], line["model_text"]) == (
            1,
            "I am John.",
            "I am Jon.",
        )
        assert "I am John." in person.get(f"/results/{recording_id}").text
        second = person.patch(path, json={**edit, "text": "I am Joan."})
        assert (second.status_code, second.json()["error"]["code"]) == (409, "edit_conflict")
        assert person.patch(path[:-1] + "7", json=edit).status_code == 404
        for wrong in ({"text": "x" * 5_001, "text_before": ""}, {"text": "No text before"}):
            assert person.patch(path, json=wrong).status_code == 422

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
        self, coordinator: CoordinatorThread, database: Database, person: KeyedSession
    ) -> None:
        node_id, _ = coordinator.join("M4 MacBook Pro")
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
            "state": "transcribed", "channel": None, "has_audio": True,
        }  # fmt: skip
        assert (received[1]["offset"], received[1]["state"]) == (30.0, "pending")


class TestResults:
    @pytest.mark.parametrize(
        ("name", "kind", "word"),
        [
            ("txt", "text/plain; charset=utf-8", "Grüße."),
            ("srt", "application/x-subrip; charset=utf-8", "00:00:00,000 --> 00:00:03,720"),
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

    @pytest.mark.parametrize("name", ["srt", "vtt"])
    def test_cues_of_subtitles_keep_the_limits(
        self, database: Database, person: KeyedSession, name: str
    ) -> None:
        recording_id = post_recording(database, 1)
        transcribe(database, recording_id, 0, "one two three four " * 10)
        usual = person.get(f"/results/{recording_id}?format={name}").text
        assert usual.count("-->") == 3
        assert max(map(len, usual.split("\n"))) <= 42
        off = "max_line_width=0&max_lines=0&max_cue_seconds=0"
        assert person.get(f"/results/{recording_id}?format={name}&{off}").text.count("-->") == 1
        assert person.get(f"/results/{recording_id}?max_lines=-1").status_code == 422

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
