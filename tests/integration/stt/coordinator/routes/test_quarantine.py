"""The quarantine, and the queue changed by hand."""

from datetime import timedelta

import pytest
from bson import ObjectId

from stt.store.database import Database
from tests.support.coordinator_app import CoordinatorThread, KeyedSession
from tests.support.queue_builder import add_chunks, add_recording, document

SAID = {"segments": [{"start": 0.0, "end": 1.0, "text": "word"}]}


class TestQuarantine:
    def test_it_says_what_went_wrong_the_latest_first(
        self, queue: Database, person: KeyedSession
    ) -> None:
        now = queue.server_time()
        recording_id = add_recording(queue, filename="<b>talk</b>.mp3")
        errors = [
            {"at": now, "worker": "a_1", "kind": "server_fault", "message": "500"},
            {"at": now, "worker": "b_2", "kind": "bad_audio", "message": "x", "server": "http://g"},
        ]
        [old] = add_chunks(
            queue,
            1,
            recording_id=recording_id,
            failed_at=now - timedelta(1),
            errors=errors,
            attempts=3,
        )
        [new] = add_chunks(queue, 1, failed_at=now, errors="garbled")
        found = person.get("/api/quarantine").json()
        assert [chunk["id"] for chunk in found["chunks"]] == [str(new), str(old)]
        assert (found["total"], found["cursor"]) == (2, None)
        chunk = found["chunks"][1]
        assert (chunk["filename"], chunk["attempts"]) == ("<b>talk</b>.mp3", 3)
        assert [error["kind"] for error in chunk["errors"]] == ["server_fault", "bad_audio"]
        assert [error["server"] for error in chunk["errors"]] == [None, "http://g"]
        assert found["chunks"][0]["errors"] == []

    def test_that_of_one_recording_has_its_chunks_and_the_model_that_it_asks_for(
        self, queue: Database, person: KeyedSession
    ) -> None:
        now = queue.server_time()
        recording_id = add_recording(queue, model="large")
        ids = add_chunks(queue, 2, recording_id=recording_id, failed_at=now)
        add_chunks(queue, 3, failed_at=now)
        found = person.get("/api/quarantine", params={"source_id": str(recording_id)}).json()
        assert {chunk["id"] for chunk in found["chunks"]} == {str(id_) for id_ in ids}
        assert (found["total"], {chunk["model"] for chunk in found["chunks"]}) == (2, {"large"})
        found = person.get("/api/quarantine").json()
        assert (found["total"], {chunk["model"] for chunk in found["chunks"]}) == (
            5,
            {"large", None},
        )

    def test_it_says_in_words_what_happened_and_what_to_do(
        self, queue: Database, person: KeyedSession
    ) -> None:
        error = {"at": queue.server_time(), "worker": "a_1", "kind": "bad_audio", "message": "x"}
        add_chunks(queue, 1, failed_at=queue.server_time(), errors=[error])
        [chunk] = person.get("/api/quarantine").json()["chunks"]
        assert chunk["reason"] == "The audio of this part cannot be read."
        assert chunk["advice"].startswith("Listen to it.")

    def test_a_dismissed_chunk_leaves_it_and_is_put_back(
        self, queue: Database, person: KeyedSession
    ) -> None:
        ids = [str(id_) for id_ in add_chunks(queue, 2, failed_at=queue.server_time())]
        assert person.post(f"/api/queue/{ids[0]}/dismiss").ok
        assert person.post(f"/api/queue/{ids[0]}/dismiss").status_code == 409
        found = person.get("/api/quarantine").json()
        assert [chunk["id"] for chunk in found["chunks"]] == [ids[1]]
        assert (found["total"], found["dismissed"]) == (1, 1)
        found = person.get("/api/quarantine?dismissed=true").json()
        assert [chunk["id"] for chunk in found["chunks"]] == [ids[0]]
        assert found["chunks"][0]["dismissed_at"] is not None
        status = person.get("/status").json()
        assert (status["counts"]["failed"], status["dismissed"]) == (2, 1)
        assert person.post(f"/api/queue/{ids[0]}/put-back").ok
        assert person.post(f"/api/queue/{ids[0]}/put-back").status_code == 409
        assert person.post("/api/queue/dismiss").json() == {"chunks": 2}
        assert person.get("/api/quarantine").json()["total"] == 0
        assert person.post(f"/api/queue/{ObjectId()}/dismiss").status_code == 404

    def test_its_pages_have_every_chunk_once_though_all_failed_in_one_moment(
        self, queue: Database, person: KeyedSession
    ) -> None:
        now = queue.server_time()
        ids = {str(id_) for id_ in add_chunks(queue, 7, failed_at=now)}
        ids |= {str(id_) for id_ in add_chunks(queue, 2, failed_at=now - timedelta(seconds=1))}
        found: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = person.get(f"/api/quarantine?limit=2{cursor and '&cursor=' + cursor}").json()
            found += [chunk["id"] for chunk in page["chunks"]]
            cursor = page["cursor"]
        assert len(found) == 9
        assert set(found) == ids

    @pytest.mark.parametrize("cursor", ["x", "1", "-" + "0" * 24, "9" * 15 + "-" + "0" * 24])
    def test_a_cursor_that_is_none_of_ours_is_refused(
        self, person: KeyedSession, cursor: str
    ) -> None:
        assert person.get(f"/api/quarantine?cursor={cursor}").status_code == 422


class TestByHand:
    def test_a_chunk_in_quarantine_is_tried_again(
        self, queue: Database, person: KeyedSession
    ) -> None:
        [chunk_id] = add_chunks(queue, 1, failed_at=queue.server_time(), attempts=3)
        assert person.get("/status").json()["counts"]["failed"] == 1
        assert person.post(f"/api/queue/{chunk_id}/retry").json() == {"ok": True}
        assert document(queue, chunk_id)["failed_at"] is None
        assert person.get("/status").json()["counts"]["pending"] == 1
        refused = person.post(f"/api/queue/{chunk_id}/retry")
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")

    def test_all_of_a_recording_or_all_there_are(
        self, queue: Database, person: KeyedSession
    ) -> None:
        recording_id = add_recording(queue)
        add_chunks(queue, 2, recording_id=recording_id, failed_at=queue.server_time())
        add_chunks(queue, 3, failed_at=queue.server_time())
        request = {"source_id": str(recording_id)}
        assert person.post("/api/queue/retry", json=request).json() == {"chunks": 2}
        assert person.post("/api/queue/retry").json() == {"chunks": 3}
        assert person.post("/api/queue/retry", json={"source_id": "all"}).status_code == 422

    def test_a_chunk_is_transcribed_again_whatever_its_state_and_keeps_its_text_until_then(
        self, queue: Database, person: KeyedSession
    ) -> None:
        [chunk_id] = add_chunks(queue, 1, transcribed_at=queue.server_time(), transcript=SAID)
        assert person.get("/status").json()["counts"]["transcribed"] == 1
        assert person.post(f"/api/queue/{chunk_id}/reset").status_code == 200
        assert document(queue, chunk_id)["transcribed_at"] is None
        assert document(queue, chunk_id)["transcript"] == SAID
        counts = person.get("/status").json()["counts"]
        assert (counts["pending"], counts["transcribed"]) == (1, 0)

    def test_a_chunk_is_taken_away_from_its_worker(
        self, queue: Database, person: KeyedSession
    ) -> None:
        [chunk_id] = add_chunks(queue, 1, processing_by="a_1", claimed_at=queue.server_time())
        assert person.post(f"/api/queue/{chunk_id}/release").status_code == 200
        assert document(queue, chunk_id)["processing_by"] is None
        assert person.post(f"/api/queue/{chunk_id}/release").status_code == 409

    @pytest.mark.parametrize("action", ["retry", "reset", "release"])
    def test_a_chunk_that_is_not_there_is_told_so(
        self, queue: Database, person: KeyedSession, action: str
    ) -> None:
        assert person.post(f"/api/queue/{ObjectId()}/{action}").status_code == 404
        assert person.post(f"/api/queue/nonsense/{action}").status_code == 422

    def test_a_node_may_not(self, coordinator: CoordinatorThread, queue: Database) -> None:
        _, key = coordinator.join()
        [chunk_id] = add_chunks(queue, 1, failed_at=queue.server_time())
        with coordinator.node(key) as node:
            assert node.post(f"/api/queue/{chunk_id}/retry").status_code == 403
            assert node.post("/api/queue/retry").status_code == 403
