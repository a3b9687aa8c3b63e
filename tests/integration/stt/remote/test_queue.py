"""The queue through a coordinator: what HTTP adds to the claim protocol.

The protocol itself is tried in test_claims.py, where every test holds for both ways.
"""

import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from bson import ObjectId

from stt.domain.chunk import Chunk
from stt.domain.claim import Claim, ClaimRules, Order
from stt.domain.transcript import Segment, Transcript
from stt.errors import BadAudio, ClaimLost, DatabaseRefused, DatabaseUnavailable
from stt.remote import messages
from stt.remote.queue import LONG_POLL_SECONDS
from stt.settings import load_settings
from stt.store import claims
from stt.store.database import Database
from stt.store.documents import read_transcript
from stt.worker.context import WorkOptions
from stt.worker.worker import Worker
from tests.support.coordinator_app import CoordinatorThread, running_coordinator
from tests.support.queue_builder import add_chunks, add_recording, document
from tests.support.remote_member import HELLO, Member, impostor, queue_at
from tests.support.scripted_server import ScriptedServer, always
from tests.support.speech import opus_tone


def test_the_options_of_its_recording_come_with_a_claim(database: Database, mac: Member) -> None:
    recording_id = add_recording(
        database, language="German", task="translate", prompt="Ann", hotwords="<|en|> Bo"
    )
    [id_] = add_chunks(database, 1, recording_id=recording_id)
    recording = mac.queue.of(mac.claim(database, id_))
    assert recording is not None
    assert (recording.language, recording.task) == ("de", "translate")
    assert (recording.prompt, recording.hotwords) == ("Ann", "<|en|> Bo")


class TestResults:
    def test_a_result_arrives_as_it_was_sent_and_says_who_made_it(
        self, database: Database, mac: Member
    ) -> None:
        [id_] = add_chunks(database, 1)
        mac.queue.complete(mac.claim(database, id_), HELLO)
        written = read_transcript(document(database, id_))
        assert written.worker == mac.worker
        assert written.segments == HELLO.segments
        assert written.silent_speech_seconds == 2.5
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
            offered.join(60)
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


class TestRenewal:
    def test_a_coordinator_that_renews_one_at_a_time_is_asked_for_each(
        self, database: Database, mac: Member, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One of an earlier version ignores the others, and names none that is lost."""
        lost, first, second = (mac.claim(database, id_) for id_ in add_chunks(database, 3))
        ask, asked = mac.queue._ask, []

        def older(method: str, path: str, *, body: messages.Renewal) -> dict[str, object]:
            asked.append(path)
            single = body.model_copy(update={"others": None, "lease_seconds": None})
            answer: dict[str, object] = ask(method, path, body=single)
            return {"lease_seconds": answer["lease_seconds"]}

        monkeypatch.setattr(mac.queue, "_ask", older)
        assert mac.queue.renew_all([first, second]) == []
        assert len(asked) == 2
        claims.release(database, [lost.chunk.id])
        assert mac.queue.renew_all([lost, first, second]) == [lost]
        assert mac.queue.renew_all([first, lost, second]) == [lost]

    def test_a_lost_claim_is_distinguished_from_the_next_one_of_its_chunk(
        self, database: Database, mac: Member
    ) -> None:
        [id_, other_id] = add_chunks(database, 2)
        lost, other = mac.claim(database, id_), mac.claim(database, other_id)
        claims.reset(database, [id_])
        held = mac.claim(database, id_)
        held.trusted_until = 0.0
        assert mac.queue.renew_all([lost, other, held]) == [lost]
        assert held.is_trusted

    def test_a_claim_has_the_lease_by_which_its_node_renews_it(
        self, database: Database, mac: Member
    ) -> None:
        """Whichever coordinator is asked, and whatever lease that has."""
        claim = mac.claim(database, add_chunks(database, 1)[0])
        own = mac.queue._rules.lease_seconds
        assert document(database, claim.chunk.id)["lease_seconds"] == own
        held = messages.Renewal(**mac.queue._ids_of(claim), lease_seconds=own + 7)
        answer = mac.queue._ask("POST", "/tasks/renew", body=held)
        assert answer["lease_seconds"] == own + 7
        assert document(database, claim.chunk.id)["lease_seconds"] == own + 7


class TestAudio:
    def test_a_chunk_without_audio_is_bad_audio(self, database: Database, mac: Member) -> None:
        [id_] = add_chunks(database, 1)
        with pytest.raises(BadAudio, match="no audio"):
            mac.queue.audio(mac.claim(database, id_))

    def test_a_claim_that_was_lost_leaves_the_next_one_of_the_same_node_its_audio(
        self, database: Database, opus: bytes, mac: Member
    ) -> None:
        recording_id = add_recording(database, language="German")
        [id_] = add_chunks(database, 1, audio=opus, recording_id=recording_id)
        lost = mac.claim(database, id_)
        assert claims.reset(database, [id_]) == 1
        held = mac.claim(database, id_)
        with pytest.raises(ClaimLost):
            mac.queue.complete(lost, HELLO)
        assert mac.queue.audio(held) == opus
        recording = mac.queue.of(held)
        assert recording is not None
        assert recording.language == "de"
        with pytest.raises(ClaimLost):  # and no KeyError, which would end the worker
            mac.queue.audio(lost)
        assert mac.queue.neighbour_audio(lost, 1) is None


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

    def test_no_request_for_some_recordings_alone_waits_while_others_may_be_pending(
        self, rules: ClaimRules
    ) -> None:
        answer = '{"chunks": [], "is_last": true}'
        with impostor(lambda _path: (200, answer)) as (url, asked):
            queue = queue_at(url, rules, long_poll=True)
            recordings = Order(recordings=(ObjectId(),))
            for order in (recordings, recordings, Order(), recordings, Order()):
                queue.page(10, order)
        assert ["wait=" in path for path in asked] == [False, False, False, False, True]


class TestWork:
    @pytest.mark.parametrize("at_once", [1, 2])
    def test_a_worker_finishes_recordings_before_it_begins_others(
        self, database: Database, coordinator: CoordinatorThread, rules: ClaimRules, at_once: int
    ) -> None:
        """Their chunks take turns in the queue, and the server takes four calls at once."""
        chunks = {id_: at for at in range(4) for id_ in add_chunks(database, 6, audio=opus_tone(1))}
        member = Member(coordinator, rules, long_poll=True)
        member_claims, begun, most = member.queue.claim, dict[int, int](), 0

        def claim(chunk: Chunk) -> Claim | None:
            nonlocal most
            begun[chunks[chunk.id]] = begun.get(chunks[chunk.id], 0) + 1
            done = database.chunks.find({"transcribed_at": {"$ne": None}}, ["_id"])
            ended = Counter(chunks[document["_id"]] for document in done)
            most = max(most, sum(1 for at in begun if ended[at] < 6))
            return member_claims(chunk)

        member.queue.claim = claim  # type: ignore[method-assign]
        with ScriptedServer(always("good morning")).running() as server:
            settings = load_settings(
                server_urls=(server.url,), lease_seconds=60, sequence_seconds=60,
                required_empty_checks=1, max_concurrent_jobs=at_once,
            )  # fmt: skip
            queue = member.queue.queue()
            stats = Worker(queue, settings, WorkOptions(limit=24), member.worker).run()
        assert (stats.done, stats.errors) == (24, 0)
        assert begun == dict.fromkeys(range(4), 6)
        assert most == at_once

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


class TestByHand:
    def test_a_reset_chunk_keeps_only_its_earlier_text_and_its_holder_writes_nothing(
        self, database: Database, mac: Member
    ) -> None:
        done, held = add_chunks(database, 2, errors=[{"kind": "old"}], attempts=2)
        mac.queue.complete(mac.claim(database, done), HELLO)
        claim = mac.claim(database, held)
        assert claims.reset(database, [done, held]) == 2
        for id_ in (done, held):
            found = document(database, id_)
            assert read_transcript(found).text == (HELLO.text if id_ == done else "")
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
