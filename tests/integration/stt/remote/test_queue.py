"""The queue through a coordinator: what HTTP adds to the claim protocol.

The protocol itself is tried in test_claims.py, where every test holds for both ways.
"""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from bson import ObjectId

from stt.coordinator import reservations
from stt.coordinator.store.listing import has_pending
from stt.domain.chunk import Chunk
from stt.domain.claim import Claim, ClaimRules, Order
from stt.domain.transcript import Segment, Transcript, Word
from stt.errors import (
    BadAudio,
    ClaimLost,
    ConfigError,
    DatabaseRefused,
    DatabaseUnavailable,
    KeyRejected,
    NodeRemoved,
)
from stt.remote.client import CoordinatorClient
from stt.remote.membership import Membership
from stt.remote.queue import LONG_POLL_SECONDS, RemoteQueue
from stt.settings import load_settings
from stt.store import claims
from stt.store.database import Database
from stt.store.documents import read_transcript
from stt.system.single_flight import SingleFlight
from stt.worker.context import WorkOptions
from stt.worker.worker import Worker
from tests.support.coordinator_app import CoordinatorThread, running_coordinator
from tests.support.mongo_process import free_port
from tests.support.queue_builder import add_chunks, add_recording, chunk, document
from tests.support.remote_claims import node_settings
from tests.support.scripted_server import ScriptedServer, always
from tests.support.speech import opus_tone

HELLO = Transcript(
    (Segment(0.5, 1.5, "hello", -0.2, 0.01, (Word(0.5, 1.5, "hello", 0.9),)),), "en", 0.98, "m"
)


@contextlib.contextmanager
def impostor(answer: Callable[[str], tuple[int, str]]) -> Iterator[tuple[str, list[str]]]:
    """Something else that answers HTTP: its URL, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            status, body = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def queue_at(
    url: str, rules: ClaimRules, *, key: str = "key", long_poll: bool = False
) -> RemoteQueue:
    """Return the queue of a node that has not joined there."""
    membership = Membership(CoordinatorClient(url, key), node_settings("mac", rules))
    return RemoteQueue(membership, "mac_1", long_poll=long_poll)


@pytest.fixture
def coordinator(database: Database, tmp_path: Path) -> Iterator[CoordinatorThread]:
    with running_coordinator(database, tmp_path, lease_seconds=60) as running:
        yield running


class Member:
    """A node that has joined, and its queue."""

    def __init__(
        self,
        coordinator: CoordinatorThread,
        rules: ClaimRules,
        name: str = "mac",
        *,
        long_poll: bool = False,
    ) -> None:
        self.id, self.key = coordinator.join(name)
        self.worker = f"{self.id}_1"
        self.session = coordinator.node(self.key)
        client = CoordinatorClient(coordinator.url, self.key)
        self.membership = Membership(client, node_settings(self.id, rules))
        self.queue = RemoteQueue(self.membership, self.worker, long_poll=long_poll)

    def claim(self, database: Database, chunk_id: ObjectId) -> Claim:
        claim = self.queue.claim(chunk(database, chunk_id))
        assert claim is not None
        return claim


@pytest.fixture
def mac(coordinator: CoordinatorThread, rules: ClaimRules) -> Member:
    return Member(coordinator, rules)


@pytest.fixture(scope="module")
def opus() -> bytes:
    return opus_tone(2.0)


class TestResults:
    def test_a_result_arrives_as_it_was_sent_and_says_who_made_it(
        self, database: Database, mac: Member
    ) -> None:
        [id_] = add_chunks(database, 1)
        mac.queue.complete(mac.claim(database, id_), HELLO)
        written = read_transcript(document(database, id_))
        assert written.worker == mac.worker
        assert written.segments == HELLO.segments
        assert (written.language, written.language_probability, written.model) == ("en", 0.98, "m")

    def test_what_json_cannot_say_does_not_lose_the_result(
        self, database: Database, mac: Member
    ) -> None:
        [id_] = add_chunks(database, 1)
        odd = Transcript((Segment(0.0, 1.0, "half \ud83d a sign", float("-inf"), float("nan")),))
        mac.queue.complete(mac.claim(database, id_), odd)
        [segment] = read_transcript(document(database, id_)).segments
        assert segment == Segment(0.0, 1.0, "half ? a sign")

    def test_a_result_that_no_coordinator_takes_counts_against_the_chunk_not_the_worker(
        self, database: Database, mac: Member
    ) -> None:
        [id_] = add_chunks(database, 1)
        claim = mac.claim(database, id_)
        with pytest.raises(DatabaseRefused):
            mac.queue.complete(claim, Transcript((Segment(-5.0, 1.0, "before the beginning"),)))
        mac.queue.fail(claim, "database_refused", "no coordinator takes it")
        assert document(database, id_)["attempts"] == 1

    def test_a_finished_result_is_offered_again_to_a_coordinator_that_restarts(
        self, database: Database, rules: ClaimRules, tmp_path: Path
    ) -> None:
        [id_] = add_chunks(database, 1)
        with running_coordinator(database, tmp_path) as first:
            member = Member(first, rules)
            claim = member.claim(database, id_)
            port = int(first.url.rpartition(":")[2])
        offered = threading.Thread(target=member.queue.complete, args=(claim, HELLO))
        offered.start()
        time.sleep(0.4)
        assert document(database, id_)["transcribed_at"] is None
        with running_coordinator(database, tmp_path, port=port):
            offered.join(10)
        assert document(database, id_)["transcript"]["segments"][0]["text"] == "hello"

    def test_a_coordinator_that_stays_away_costs_the_result_when_the_lease_is_over(
        self, database: Database, rules: ClaimRules, tmp_path: Path
    ) -> None:
        [id_] = add_chunks(database, 1)
        with running_coordinator(database, tmp_path) as coordinator:
            member = Member(coordinator, rules)
            claim = member.claim(database, id_)
        claim.trusted_until = time.monotonic() + 0.3
        with pytest.raises(DatabaseUnavailable, match="does not answer"):
            member.queue.complete(claim, HELLO)


class TestAudio:
    def test_a_node_reads_the_audio_of_what_it_holds_and_of_nothing_else(
        self, database: Database, mac: Member, opus: bytes
    ) -> None:
        held, other = add_chunks(database, 2, audio=opus)
        claim = mac.claim(database, held)
        assert mac.queue.audio(claim.chunk) == opus
        assert mac.session.get(f"/chunks/{other}.opus").json()["error"]["code"] == "claim_lost"
        claims.release(database, [held])
        with pytest.raises(ClaimLost):
            mac.queue.audio(claim.chunk)

    def test_a_chunk_without_audio_is_bad_audio(self, database: Database, mac: Member) -> None:
        [id_] = add_chunks(database, 1)
        with pytest.raises(BadAudio, match="no audio"):
            mac.queue.audio(mac.claim(database, id_).chunk)

    @pytest.mark.parametrize(
        ("range_", "status", "first", "last"),
        [
            ("bytes=0-9", 206, 0, 9),
            ("bytes=10-", 206, 10, None),
            ("bytes=-5", 206, -5, None),
            ("bytes=5-99999999", 206, 5, None),
            ("bytes=9-5", 200, 0, None),
            ("chapters=1-2", 200, 0, None),
        ],
    )
    def test_a_player_reads_ranges(
        self, database: Database, coordinator: CoordinatorThread, opus: bytes,
        range_: str, status: int, first: int, last: int | None,
    ) -> None:  # fmt: skip
        [id_] = add_chunks(database, 1, audio=opus)
        answer = coordinator.person().get(f"/chunks/{id_}.opus", headers={"Range": range_})
        assert answer.status_code == status
        assert answer.content == opus[first : None if last is None else last + 1]
        assert answer.headers["Content-Type"] == "audio/ogg"

    @pytest.mark.parametrize("range_", ["bytes=999999999-", "bytes=-0"])
    def test_a_range_beyond_the_end_is_none(
        self, database: Database, coordinator: CoordinatorThread, opus: bytes, range_: str
    ) -> None:
        [id_] = add_chunks(database, 1, audio=opus)
        answer = coordinator.person().get(f"/chunks/{id_}.opus", headers={"Range": range_})
        assert answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        assert answer.headers["Content-Range"] == f"bytes */{len(opus)}"


class TestWaiting:
    def test_who_waits_for_work_gets_it_when_it_comes(
        self, database: Database, coordinator: CoordinatorThread, rules: ClaimRules
    ) -> None:
        member = Member(coordinator, rules, long_poll=True)
        assert member.queue.page(10, Order()).chunks == ()
        began = time.monotonic()
        threading.Timer(0.5, add_chunks, (database, 2)).start()
        page = member.queue.page(10, Order())
        assert len(page.chunks) == 2
        assert 0.4 < time.monotonic() - began < LONG_POLL_SECONDS / 2

    def test_a_worker_that_stops_waits_for_nobody(
        self, coordinator: CoordinatorThread, rules: ClaimRules
    ) -> None:
        member = Member(coordinator, rules, long_poll=True)
        member.queue.page(10, Order())
        began = time.monotonic()
        threading.Timer(0.3, member.queue.stop_retrying).start()
        page = member.queue.page(10, Order())
        assert page.chunks == ()
        assert page.next_due_seconds is not None  # the queue is not to be taken for empty
        assert time.monotonic() - began < LONG_POLL_SECONDS / 2

    def test_where_long_polls_are_cut_off_it_asks_as_others_do(self, rules: ClaimRules) -> None:
        with impostor(
            lambda path: (504, "") if "wait=" in path else (200, '{"chunks": [], "is_last": true}')
        ) as (url, asked):
            queue = queue_at(url, rules, long_poll=True)
            for _ in range(5):
                assert queue.page(10, Order()).is_last
        assert sum("wait=" in path for path in asked) == 2
        assert "wait=" not in asked[-1]


class TestWork:
    def test_next_claims_a_sequence_and_the_same_question_gets_the_same_answer(
        self, database: Database, mac: Member, opus: bytes
    ) -> None:
        recording = add_recording(database, language="de", prompt="Ann", model="large-v3")
        ids = add_chunks(database, 3, recording_id=recording, audio=opus)
        claim_id = str(ObjectId())
        query = {"worker_id": mac.worker, "wait": "0", "claim_id": claim_id}
        first = mac.session.get("/tasks/next", params=query).json()
        again = mac.session.get("/tasks/next", params=query).json()
        assert first == again
        assert [task["chunk"]["id"] for task in first["tasks"]] == [str(id_) for id_ in ids]
        assert first["claim_id"] == claim_id
        assert first["options"]["language"] == "de"
        assert first["options"]["model"] == "large-v3"
        assert mac.session.get(first["tasks"][0]["audio"]).content == opus
        for id_ in ids:
            done = {
                "worker_id": mac.worker, "chunk_id": str(id_), "claim_id": claim_id,
                "transcript": {"segments": [{"start": 0, "end": 1, "text": "ja"}]},
            }  # fmt: skip
            assert mac.session.post("/tasks/complete", json=done).json() == {"ok": True}
            assert mac.session.post("/tasks/complete", json=done).json() == {"ok": True}
        assert mac.session.get("/tasks/next", params=query).status_code == 204

    def test_those_who_wait_find_a_database_that_is_away_together(self) -> None:
        url = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300&directConnection=true"
        with Database(url, "gone") as gone, ThreadPoolExecutor(20) as pool:
            shared = SingleFlight(lambda: has_pending(gone))
            began = time.monotonic()
            errors = [one.exception() for one in [pool.submit(shared.get) for _ in range(20)]]
        assert {type(error) for error in errors} == {DatabaseUnavailable}
        assert time.monotonic() - began < 3  # one after the other they would take six

    def test_who_has_hung_up_is_given_no_claim(
        self, database: Database, coordinator: CoordinatorThread, mac: Member
    ) -> None:
        host, port = coordinator.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as impatient:
            impatient.sendall(
                f"GET /tasks/next?worker_id={mac.worker} HTTP/1.1\r\nHost: {host}\r\n"
                f"Authorization: Bearer {mac.key}\r\n\r\n".encode()
            )
            time.sleep(0.3)  # the coordinator has read the queue once, and waits
        [id_] = add_chunks(database, 1)
        time.sleep(1.2)
        assert document(database, id_)["processing_by"] is None

    def test_a_chunk_that_failed_before_travels_alone(
        self, database: Database, mac: Member
    ) -> None:
        recording = add_recording(database)
        add_chunks(database, 1, recording_id=recording, attempts=1)
        add_chunks(database, 1, recording_id=recording, index=1)
        query = {"worker_id": mac.worker, "wait": "0"}
        answers = [mac.session.get("/tasks/next", params=query).json() for _ in range(2)]
        assert [len(answer["tasks"]) for answer in answers] == [1, 1]

    def test_a_node_speaks_for_no_other_worker(self, database: Database, mac: Member) -> None:
        [id_] = add_chunks(database, 1)
        for worker in ("other_1", f"{mac.id}x_1", f"x{mac.id}_1"):
            query = {"worker_id": worker, "wait": "0"}
            assert mac.session.get("/tasks/next", params=query).status_code == 403
            request = {"worker_id": worker, "chunk_id": str(id_), "claim_id": str(ObjectId())}
            assert mac.session.post("/tasks/claim", json=request).status_code == 403
        assert document(database, id_)["processing_by"] is None

    def test_a_node_that_was_switched_off_gets_nothing_and_may_finish_what_it_has(
        self, database: Database, coordinator: CoordinatorThread, mac: Member
    ) -> None:
        one, two = add_chunks(database, 2)
        claim = mac.claim(database, one)
        change = coordinator.person().patch(f"/api/nodes/{mac.id}", json={"is_enabled": False})
        assert change.ok
        page = mac.queue.page(10, Order())
        assert page.chunks == ()
        assert page.next_due_seconds is not None
        assert mac.queue.claim(chunk(database, two)) is None
        mac.queue.complete(claim, HELLO)
        assert document(database, one)["transcribed_at"] is not None

    def test_scarce_work_is_left_to_a_node_of_higher_priority_for_a_while(
        self,
        database: Database,
        coordinator: CoordinatorThread,
        rules: ClaimRules,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        slow = Member(coordinator, rules, "slow")
        fast = Member(coordinator, rules, "fast")
        person = coordinator.person()
        assert person.patch(f"/api/nodes/{fast.id}", json={"priority": 5}).ok
        report = {"worker_id": fast.worker, "state": "working", "slots": 2}
        assert fast.session.post(f"/api/nodes/{fast.id}/heartbeat", json=report).ok
        ids = add_chunks(database, 3)
        time.sleep(1.1)  # nodes are read once a second
        assert [c.id for c in fast.queue.page(10, Order()).chunks] == ids
        assert [c.id for c in slow.queue.page(10, Order()).chunks] == ids[2:]
        monkeypatch.setattr(reservations, "_MAX_RESERVED_SECONDS", 0.0)
        assert [c.id for c in slow.queue.page(10, Order()).chunks] == ids

    def test_the_same_worker_does_the_same_work_through_a_coordinator(
        self, database: Database, mac: Member, opus: bytes
    ) -> None:
        ids = add_chunks(database, 4, audio=opus)
        add_chunks(database, 1, audio=b"no audio at all")
        with ScriptedServer(always("good morning")).running() as server:
            settings = load_settings(
                server_urls=(server.url,), lease_seconds=60, sequence_seconds=0,
                required_empty_checks=1,
            )  # fmt: skip
            worker = Worker(mac.queue.queue(), settings, WorkOptions(limit=5), mac.worker)
            stats = worker.run()
        assert stats.counts == {"transcribed": 4, "empty": 0, "error": 1, "skipped": 0}
        for id_ in ids:
            transcript = document(database, id_)["transcript"]
            assert transcript["worker"] == mac.worker
            assert transcript["segments"][0]["text"] == "good morning"
        report = database.workers.find_one({"_id": mac.worker})
        assert report is not None
        assert report["state"] == "stopped"


class TestRefusals:
    def test_a_wrong_key_ends_the_worker_and_says_so(
        self, coordinator: CoordinatorThread, rules: ClaimRules
    ) -> None:
        with pytest.raises(KeyRejected, match="refuses the key"):
            queue_at(coordinator.url, rules, key="wrong").page(1, Order())

    def test_a_removed_node_is_told_so_and_its_chunks_are_pending_again(
        self, database: Database, coordinator: CoordinatorThread, mac: Member
    ) -> None:
        [id_] = add_chunks(database, 1)
        claim = mac.claim(database, id_)
        assert coordinator.person().delete(f"/api/nodes/{mac.id}").status_code == 204
        with pytest.raises(NodeRemoved, match="removed"):
            mac.queue.complete(claim, HELLO)
        assert document(database, id_)["processing_by"] is None
        assert isinstance(mac.membership.rejection, NodeRemoved)  # for those who have not asked yet

    @pytest.mark.parametrize(
        ("status", "body", "error"),
        [
            (200, "<html>Log in to the hotel's network</html>", DatabaseUnavailable),
            (200, '{"something": "else"}', DatabaseUnavailable),
            (502, "<html>Bad gateway</html>", DatabaseUnavailable),
            (429, '{"error": {"code": "too_many", "message": "wait"}}', DatabaseUnavailable),
            (302, "", ConfigError),
            (404, "<html>Not found</html>", ConfigError),
        ],
    )
    def test_an_answer_that_is_no_coordinators_is_waited_out_or_named(
        self, rules: ClaimRules, status: int, body: str, error: type[Exception]
    ) -> None:
        with impostor(lambda _: (status, body)) as (url, _):
            queue = queue_at(url, rules)
            with pytest.raises(error):
                queue.page(10, Order())

    @pytest.mark.parametrize("status", [302, 404, 410])
    def test_what_comes_in_between_later_is_waited_out(
        self, rules: ClaimRules, status: int
    ) -> None:
        answers = iter([(200, '{"pending": 0}'), (status, "<html>The tunnel is offline</html>")])
        with impostor(lambda _: next(answers)) as (url, _):
            queue = queue_at(url, rules)
            assert queue.count_pending(Order()) == 0
            with pytest.raises(DatabaseUnavailable):
                queue.page(10, Order())

    @pytest.mark.parametrize("path", ["@127.0.0.1:1/secret", ".evil.example/x", "/api/options"])
    def test_a_coordinator_names_no_other_address(self, rules: ClaimRules, path: str) -> None:
        wanted = Chunk(ObjectId(), None, 0)
        message = {"id": str(wanted.id), "source_id": None, "index": 0}
        answer = {
            "worker_id": "mac_1", "claim_id": str(ObjectId()), "lease_seconds": 60, "options": {},
            "tasks": [{"chunk": message, "audio": path}],
        }  # fmt: skip
        with impostor(lambda _: (200, json.dumps(answer))) as (url, asked):
            queue = queue_at(url, rules)
            with pytest.raises(DatabaseUnavailable, match="cannot be read"):
                queue.claim(wanted)
        assert set(asked) == {"/tasks/claim"}

    def test_a_body_that_is_made_to_take_long_is_refused_at_once(
        self, coordinator: CoordinatorThread, mac: Member
    ) -> None:
        kilobytes = "[" + ",".join(["[]"] * 400_000) + "]"
        for path, status in (("/tasks/renew", 413), ("/tasks/complete", 422)):
            answer = mac.session.post(path, data=kilobytes)
            assert answer.status_code == status
        segments: dict[str, object] = {"transcript": {"segments": [{}] * 90_000}}
        answer = mac.session.post("/tasks/complete", json=segments)
        assert answer.status_code == 422
        assert answer.json()["error"]["message"].count("segments") <= 3
        assert mac.session.post("/tasks/complete", data="[" * 9_000_000).status_code == 413

    def test_a_coordinator_that_is_not_there_is_a_database_that_is_away(
        self, rules: ClaimRules
    ) -> None:
        queue = queue_at(f"http://127.0.0.1:{free_port()}", rules)
        with pytest.raises(DatabaseUnavailable, match="does not answer"):
            queue.count_pending(Order())


class TestByHand:
    def test_a_reset_chunk_is_as_on_its_first_day_and_its_holder_writes_nothing(
        self, database: Database, mac: Member
    ) -> None:
        done, held = add_chunks(database, 2, errors=[{"kind": "old"}], attempts=2)
        mac.queue.complete(mac.claim(database, done), HELLO)
        claim = mac.claim(database, held)
        assert claims.reset(database, [done, held]) == 2
        for id_ in (done, held):
            found = document(database, id_)
            assert found["transcript"] is None
            assert (found["attempts"], found["errors"]) == (0, [])
            assert [found[f] for f in ("transcribed_at", "failed_at", "processing_by")] == [
                None, None, None,
            ]  # fmt: skip
        with pytest.raises(ClaimLost):
            mac.queue.complete(claim, HELLO)

    def test_a_node_that_starts_again_gives_back_what_it_held_and_nobody_elses(
        self, database: Database
    ) -> None:
        mine, new, others, longer = (
            add_chunks(database, 1, processing_by=worker)[0]
            for worker in ("mac-1a2b_10", "mac-1a2b_11", "pc-3c4d_10", "mac-1a2b-2_10")
        )
        assert claims.release_of_node(database, "mac-1a2b", except_worker="mac-1a2b_11") == 1
        holders = [document(database, id_)["processing_by"] for id_ in (mine, new, others, longer)]
        assert holders == [None, "mac-1a2b_11", "pc-3c4d_10", "mac-1a2b-2_10"]

    def test_the_queue_is_listed_page_by_page(
        self, database: Database, coordinator: CoordinatorThread, mac: Member
    ) -> None:
        ids = add_chunks(database, 5)
        mac.queue.complete(mac.claim(database, ids[0]), HELLO)
        person = coordinator.person()
        listed, cursor = [], None
        for _ in range(5):
            answer = person.get("/tasks", params={"limit": 2, "cursor": cursor}).json()
            listed += answer["tasks"]
            if (cursor := answer["cursor"]) is None:
                break
        assert [task["id"] for task in listed] == [str(id_) for id_ in ids]
        assert [task["state"] for task in listed] == ["transcribed"] + ["pending"] * 4
        assert listed[0]["text"] == "hello"
        assert requests.codes.forbidden == mac.session.get("/tasks").status_code
