"""A worker against a real database and scripted servers over real HTTP: the failure table."""

import re
import threading
import time
from typing import Any
from unittest.mock import Mock

import pytest
from bson import Binary, ObjectId

from stt.domain.chunk import Recording
from stt.domain.claim import ClaimRules, Order, Page
from stt.domain.worker_id import WorkerId
from stt.errors import (
    ConfigError,
    DatabaseUnavailable,
    KeyRejected,
    ServersBroken,
    ServerUnavailable,
)
from stt.media.decoder_pool import DecoderUnavailable
from stt.settings import Settings, load_settings
from stt.store.claims import MongoClaims
from stt.store.database import Database
from stt.store.export import Export
from stt.worker.context import WorkOptions
from stt.worker.worker import Worker
from tests.support.mongo_process import free_port
from tests.support.pace import scaled, until
from tests.support.paths import ROOT
from tests.support.queue_builder import add_chunks, add_recording, document
from tests.support.scripted_server import Answer, ScriptedServer, always, heard, refusal, seconds_of
from tests.support.speech import opus_tone
from tests.support.workers import BROKEN, make_worker

OTHER_ENCODER = ROOT / "tests" / "data" / "other-encoder.opus"


@pytest.fixture(scope="module")
def opus() -> bytes:
    return opus_tone(2.0)


def rest_is_over(database: Database) -> None:
    database.chunks.update_many({}, {"$set": {"not_before": None}})


class TestWorking:
    def test_every_pending_chunk_is_transcribed_and_counted(
        self, database: Database, opus: bytes
    ) -> None:
        ids = add_chunks(database, 5, audio=opus)
        with ScriptedServer(always("good morning")).running() as server:
            worker = make_worker(database, server.url)
            stats = worker.run()
        assert stats.counts == {"transcribed": 5, "empty": 0, "error": 0, "skipped": 0}
        assert len(server.calls) == 5
        for id_ in ids:
            transcript = document(database, id_)["transcript"]
            assert transcript["segments"][0]["text"] == "good morning"
            assert transcript["worker"] == worker.id
            assert transcript["server"] == server.url

    def test_chunks_of_other_programs_are_done_like_our_own(
        self, database: Database, opus: bytes
    ) -> None:
        recording_id = ObjectId()
        database.chunks.insert_many(
            {"original_id": recording_id, "index": index, "data": opus} for index in range(3)
        )
        with ScriptedServer(always()).running() as server:
            stats = make_worker(
                database, server.url, sequence_seconds=300, max_parallel_workers=1
            ).run()
        assert stats.counts["transcribed"] + stats.counts["empty"] == 3
        assert database.chunks.count_documents({"transcribed_at": None}) == 0

    def test_ten_seconds_of_another_programs_encoder_find_their_length_and_place(
        self, database: Database
    ) -> None:
        recording_id = ObjectId()
        data = Binary(OTHER_ENCODER.read_bytes())
        database.chunks.insert_many(
            {"original_id": recording_id, "index": index, "data": data} for index in range(3)
        )

        def one_word_in_ten_seconds(number: int, upload: bytes) -> Answer:
            body = heard("hello", 1.0, 2.0)
            (word,) = body["segments"]
            count = round(seconds_of(upload) / 10)  # the chunks beside it are sent along
            body["segments"] = [
                {**word, "start": 10 * n + 1.0, "end": 10 * n + 2.0} for n in range(count)
            ]
            return Answer(body=body)

        with ScriptedServer(one_word_in_ten_seconds).running() as server:
            stats = make_worker(database, server.url).run()
        assert stats.counts["transcribed"] == 3
        durations = [d["duration"] for d in database.chunks.find({}, ["duration"])]
        assert durations == pytest.approx([10.0] * 3, abs=0.05)
        cues = Export(database, Recording(recording_id, "other.opus")).cues()
        times = [(cue.start, cue.end) for cue in cues]
        assert [start for start, _ in times] == pytest.approx([1.0, 11.0, 21.0], abs=0.1)
        assert [end for _, end in times] == pytest.approx([2.0, 12.0, 22.0], abs=0.1)

    def test_a_chunk_without_speech_costs_no_call(self, database: Database) -> None:
        [id_] = add_chunks(database, 1, vad={"has_speech": False, "prob": 0.01})
        with ScriptedServer(always()).running() as server:
            stats = make_worker(database, server.url).run()
        assert stats.counts["empty"] == 1
        assert server.calls == []
        assert document(database, id_)["transcript"]["segments"] == []

    def test_the_limit_counts_chunks_and_leaves_the_rest_unclaimed(
        self, database: Database, opus: bytes
    ) -> None:
        add_chunks(database, 6, audio=opus)
        with ScriptedServer(always()).running() as server:
            stats = make_worker(database, server.url, limit=4, sequence_seconds=300).run()
        assert stats.done == 4
        assert database.chunks.count_documents({"transcribed_at": None}) == 2
        assert database.chunks.count_documents({"processing_by": {"$ne": None}}) == 0

    def test_newest_first_begins_at_the_end(self, database: Database, opus: bytes) -> None:
        ids = add_chunks(database, 3, audio=opus)
        with ScriptedServer(always()).running() as server:
            make_worker(database, server.url, newest_first=True, limit=1).run()
        assert document(database, ids[2])["transcribed_at"] is not None

    def test_calls_run_side_by_side_up_to_what_the_server_can_take(
        self, database: Database, opus: bytes
    ) -> None:
        add_chunks(database, 8, audio=opus)
        slow = lambda number, upload: Answer(body=heard("hi"), delay_seconds=0.3)  # noqa: E731
        ready = Answer(body={"status": "ready", "capacity": 3})
        with ScriptedServer(slow, ready).running() as server:
            make_worker(database, server.url, max_parallel_workers=6).run()
        assert server.most_at_once == 3

    def test_one_at_a_time_if_parallel_transcription_is_off(
        self, database: Database, opus: bytes
    ) -> None:
        add_chunks(database, 4, audio=opus)
        slow = lambda number, upload: Answer(body=heard("hi"), delay_seconds=0.1)  # noqa: E731
        with ScriptedServer(slow).running() as server:
            make_worker(database, server.url, use_parallel_transcription=False).run()
        assert server.most_at_once == 1

    def test_the_options_of_a_recording_go_to_the_server(
        self, database: Database, opus: bytes
    ) -> None:
        recording_id = add_recording(
            database, language="de", prompt="Namen: Ada", hotwords="<|en|> Zermatt"
        )
        add_chunks(database, 1, recording_id=recording_id, audio=opus)
        with ScriptedServer(always()).running() as server:
            make_worker(database, server.url).run()
        assert b'name="language"\r\n\r\nde\r\n' in server.forms[0]
        assert b'name="prompt"\r\n\r\nNamen: Ada\r\n' in server.forms[0]
        assert b'name="hotwords"\r\n\r\n<|en|> Zermatt\r\n' in server.forms[0]
        assert server.paths == ["/v1/audio/transcriptions"]

    @pytest.mark.parametrize("own", ["Bo", None])
    def test_a_prompt_and_hotwords_of_the_worker_are_for_recordings_without_their_own(
        self, database: Database, opus: bytes, own: str | None
    ) -> None:
        recording_id = add_recording(database, prompt=own, hotwords=own)
        add_chunks(database, 1, recording_id=recording_id, audio=opus)
        with ScriptedServer(always()).running() as server:
            make_worker(database, server.url, prompt="Ann", hotwords="Ann").run()
        sent = (own or "Ann").encode()
        for name in (b"prompt", b"hotwords"):
            assert b'name="%s"\r\n\r\n%s\r\n' % (name, sent) in server.forms[0]

    def test_a_recording_to_translate_goes_to_the_servers_translations(
        self, database: Database, opus: bytes
    ) -> None:
        recording_id = add_recording(database, task="translate")
        [id_] = add_chunks(database, 1, recording_id=recording_id, audio=opus)
        with ScriptedServer(always("good morning")).running() as server:
            make_worker(database, server.url).run()
        assert server.paths == ["/v1/audio/translations"]
        assert document(database, id_)["transcript"]["task"] == "translate"

    @pytest.mark.parametrize(
        "refused",
        [
            refusal(400, "knows English only", code="unsupported_task", param="model"),
            refusal(404, "Not Found"),
        ],
    )
    def test_a_server_that_cannot_translate_fails_the_chunk_with_what_to_do(
        self, database: Database, opus: bytes, refused: Answer
    ) -> None:
        recording_id = add_recording(database, task="translate", model="tiny.en")
        [id_] = add_chunks(database, 1, recording_id=recording_id, audio=opus)
        with ScriptedServer(lambda n, u: refused).running() as server:
            make_worker(database, server.url, max_attempts=1).run()
        chunk = document(database, id_)
        [error] = chunk["errors"]
        assert chunk["failed_at"] is not None
        assert error["kind"] == "cannot_translate"
        assert "cannot translate: use a server with a multilingual model" in error["message"]


class TestFailures:
    def test_each_is_logged_with_its_try_and_what_comes_next(
        self, database: Database, opus: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        recording_id = add_recording(database)
        [id_] = add_chunks(database, 1, recording_id=recording_id, audio=opus)
        name = f"chunk {id_} (no. 0 of {recording_id}) failed"
        with ScriptedServer(lambda n, u: refusal(400, "what is this")).running() as server:
            for _ in range(2):
                make_worker(database, server.url, max_attempts=2, limit=1).run()
                rest_is_over(database)
        assert [message for message in caplog.messages if " failed" in message] == [
            f"{name}, try 1 of 2, again in 5 s: {server.url} answered 400: what is this",
            f"{name}, set aside after 2 of 2 tries (stt retry brings it back):"
            f" {server.url} answered 400: what is this",
        ]

    @pytest.mark.parametrize(
        ("answer", "kind"),
        [
            (refusal(400, "no audio"), "refused"),
            (refusal(413, "too large"), "refused"),
            (refusal(415, "what is this"), "refused"),
            (refusal(422, "odd"), "refused"),
            (refusal(500, "out of order"), "server_fault"),
        ],
        ids=["400", "413", "415", "422", "500"],
    )
    def test_what_counts_against_the_chunk_rests_it(
        self, database: Database, opus: bytes, answer: Answer, kind: str
    ) -> None:
        [id_] = add_chunks(database, 1, audio=opus)
        with ScriptedServer(lambda number, upload: answer).running() as server:
            stats = make_worker(database, server.url, limit=1).run()
        failed = document(database, id_)
        assert stats.counts["error"] == 1
        assert failed["attempts"] == 1
        assert failed["errors"][0]["kind"] == kind
        assert failed["processing_by"] is None
        assert failed["not_before"] > database.server_time()

    def test_a_broken_server_stops_the_worker_and_no_chunk_pays_for_it(
        self, database: Database, opus: bytes
    ) -> None:
        add_chunks(database, 6, audio=opus)
        broken = refusal(500, "CUDA error: an illegal memory access was encountered")
        with ScriptedServer(lambda number, upload: broken, canary=broken).running() as server:
            worker = make_worker(database, server.url, sequence_seconds=300)
            with pytest.raises(ServersBroken, match="CUDA error") as stopped:
                worker.run()
            assert server.canaries == 3
        assert stopped.value.exit_code == 5
        assert {d["attempts"] for d in database.chunks.find()} == {0}
        assert {d["processing_by"] for d in database.chunks.find()} == {None}

    def test_the_key_is_in_no_error_of_a_chunk_nor_in_the_log_whatever_the_server_repeats(
        self, database: Database, opus: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        [id_] = add_chunks(database, 1, audio=opus)
        echo = refusal(400, "I was sent Authorization: Bearer hush-0123456789, and what is it?")
        with ScriptedServer(lambda n, u: echo).running() as server, caplog.at_level(0, "stt"):
            make_worker(database, server.url, limit=1, api_key="hush-0123456789").run()
        assert "I was sent" in document(database, id_)["errors"][0]["message"]
        everything = f"{document(database, id_)} {list(database.workers.find())} {caplog.text}"
        assert "hush" not in everything

    def test_a_call_that_outlasts_its_time_counts_against_the_chunk(
        self, database: Database, opus: bytes
    ) -> None:
        [id_] = add_chunks(database, 1, audio=opus)
        hang = lambda number, upload: Answer(body=heard("late"), delay_seconds=2)  # noqa: E731
        with ScriptedServer(hang).running() as server:
            make_worker(database, server.url, limit=1, chunk_timeout_seconds=0.5).run()
        assert document(database, id_)["errors"][0]["kind"] == "server_fault"

    def test_an_answer_that_drips_in_forever_is_cut_off(
        self, database: Database, opus: bytes
    ) -> None:
        [id_] = add_chunks(database, 1, audio=opus)
        drip = lambda number, upload: Answer(body=b"x" * 100, drip_seconds=0.1)  # noqa: E731
        with ScriptedServer(drip).running() as server:
            started = time.monotonic()
            make_worker(database, server.url, limit=1, chunk_timeout_seconds=1).run()
            assert time.monotonic() - started < scaled(6)
        assert document(database, id_)["errors"][0]["kind"] == "server_fault"

    def test_a_broken_chunk_between_good_ones_is_quarantined_after_three_tries(
        self, database: Database, opus: bytes
    ) -> None:
        ids = add_chunks(database, 3, audio=opus)
        database.audio.update_one({"_id": ids[1]}, {"$set": {"data": BROKEN}})
        with ScriptedServer(always()).running() as server:
            worker = make_worker(database, server.url, sequence_seconds=300)
            stop = threading.Event()

            def shorten_rests() -> None:
                while not stop.wait(0.05):
                    rest_is_over(database)

            thread = threading.Thread(target=shorten_rests)
            thread.start()
            try:
                stats = worker.run()
            finally:
                stop.set()
                thread.join()
        bad = document(database, ids[1])
        assert bad["failed_at"] is not None
        assert [error["kind"] for error in bad["errors"]] == ["bad_audio"] * 3
        assert stats.counts == {"transcribed": 2, "empty": 0, "error": 3, "skipped": 0}

    def test_a_busy_server_is_waited_for_and_the_chunk_keeps_its_claim(
        self, database: Database, opus: bytes
    ) -> None:
        [id_] = add_chunks(database, 1, audio=opus)

        def script(number: int, upload: bytes) -> Answer:
            if number < 3:
                return Answer(503, {"error": {"message": "busy"}}, {"Retry-After": "0.3"})
            assert document(database, id_)["processing_by"] is not None
            return Answer(body=heard("at last"))

        with ScriptedServer(script).running() as server:
            stats = make_worker(database, server.url).run()
        assert stats.counts["transcribed"] == 1
        assert document(database, id_)["attempts"] == 0
        assert server.calls[2] - server.calls[0] >= 0.6

    def test_another_server_is_asked_when_one_is_busy_or_dead(
        self, database: Database, opus: bytes
    ) -> None:
        add_chunks(database, 2, audio=opus)
        busy = lambda number, upload: Answer(503, {}, {"Retry-After": "60"})  # noqa: E731
        dead = f"http://127.0.0.1:{free_port()}"
        with (
            ScriptedServer(busy).running() as first,
            ScriptedServer(always()).running() as second,
        ):
            stats = make_worker(database, dead, first.url, second.url).run()
        assert stats.counts == {"transcribed": 2, "empty": 0, "error": 0, "skipped": 0}
        assert len(second.calls) == 2

    @pytest.mark.parametrize("cut", [0, 20])
    def test_a_connection_that_breaks_costs_the_chunk_nothing(
        self, database: Database, opus: bytes, cut: int
    ) -> None:
        [id_] = add_chunks(database, 1, audio=opus)

        def script(number: int, upload: bytes) -> Answer:
            return Answer(body=heard("hi"), cut=cut if number == 1 else None)

        with ScriptedServer(script).running() as server:
            stats = make_worker(database, server.url).run()
        assert stats.counts["transcribed"] == 1
        assert document(database, id_)["attempts"] == 0

    @pytest.mark.parametrize("body", [b"<html>welcome</html>", {"segments": 3}, {"text": None}])
    def test_an_answer_that_is_no_transcript_costs_the_chunk_nothing(
        self, database: Database, opus: bytes, body: Any
    ) -> None:
        [id_] = add_chunks(database, 1, audio=opus)

        def script(number: int, upload: bytes) -> Answer:
            return Answer(body=body if number == 1 else heard("hi"))

        with ScriptedServer(script).running() as server:
            make_worker(database, server.url).run()
        assert document(database, id_)["attempts"] == 0
        assert document(database, id_)["transcribed_at"] is not None

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_wrong_key_stops_the_worker_and_frees_the_chunk(
        self, database: Database, opus: bytes, status: int
    ) -> None:
        ids = add_chunks(database, 3, audio=opus)
        refuse = lambda number, upload: refusal(status, "no")  # noqa: E731
        with ScriptedServer(refuse).running() as server:
            worker = make_worker(database, server.url, api_key="secret-key")
            with pytest.raises(KeyRejected, match="STT_API_KEY") as stopped:
                worker.run()
        assert "secret-key" not in str(stopped.value)
        for id_ in ids:
            assert document(database, id_)["processing_by"] is None
            assert document(database, id_)["attempts"] == 0

    def test_a_model_that_the_server_does_not_have_stops_the_worker(
        self, database: Database, opus: bytes
    ) -> None:
        [id_] = add_chunks(database, 1, audio=opus)
        refuse = lambda number, upload: refusal(400, "unknown model", param="model")  # noqa: E731
        with (
            ScriptedServer(refuse).running() as server,
            pytest.raises(ConfigError, match="--model"),
        ):
            make_worker(database, server.url, model="nonesuch").run()
        assert document(database, id_)["attempts"] == 0

    def test_one_of_two_servers_with_a_wrong_address_costs_no_chunk_and_stops_nothing(
        self, database: Database, opus: bytes
    ) -> None:
        ids = add_chunks(database, 6, audio=opus)
        wrong = Answer(404, {"detail": "Not Found"})
        with (
            ScriptedServer(lambda number, upload: wrong, canary=wrong).running() as lost,
            ScriptedServer(always()).running() as good,
        ):
            stats = make_worker(database, lost.url, good.url, sequence_seconds=0).run()
        assert stats.counts["transcribed"] == 6
        for id_ in ids:
            assert document(database, id_)["attempts"] == 0
            assert document(database, id_)["transcript"]["server"] == good.url

    @pytest.mark.parametrize("status", [500, 502, 503])
    def test_no_claim_is_held_while_no_server_is_ready_and_work_goes_on_by_itself(
        self, database: Database, opus: bytes, status: int
    ) -> None:
        [id_] = add_chunks(database, 1, audio=opus)
        away = Answer(status, b"out of order", {"Retry-After": "3"})
        with ScriptedServer(always(), ready=away).running() as server:
            worker = make_worker(database, server.url)
            thread = threading.Thread(target=worker.run)
            thread.start()
            until(lambda: worker._state() == "waiting")
            time.sleep(0.3)
            assert document(database, id_)["claim_id"] is None
            server.ready = Answer(body={"capacity": 2})
            thread.join(timeout=120)
        assert document(database, id_)["transcribed_at"] is not None

    def test_a_worker_gives_up_when_no_server_comes_back(
        self, database: Database, opus: bytes
    ) -> None:
        [id_] = add_chunks(database, 1, audio=opus)
        dead = f"http://127.0.0.1:{free_port()}"
        worker = make_worker(database, dead, server_unreachable_minutes=0.02)
        with pytest.raises(ServerUnavailable, match="No whisper server has answered") as gave_up:
            worker.run()
        assert gave_up.value.exit_code == 5
        assert document(database, id_)["processing_by"] is None

    def test_an_empty_queue_needs_no_server_and_the_help_says_so(
        self, database: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", "stt")
        dead = f"http://127.0.0.1:{free_port()}"
        make_worker(database, dead, server_unreachable_minutes=60).run()
        assert "Stopping: the queue is empty" in caplog.text
        help_text = Settings.model_fields["server_unreachable_minutes"].description or ""
        assert help_text.startswith("Give up when chunks wait and ")

    def test_a_chunk_that_failed_on_one_server_is_tried_on_another(
        self, database: Database, opus: bytes
    ) -> None:
        [id_] = add_chunks(database, 1, audio=opus)
        refuse = lambda number, upload: refusal(400, "not for me")  # noqa: E731
        with (
            ScriptedServer(refuse).running() as strict,
            ScriptedServer(always()).running() as lenient,
        ):
            for _ in range(2):
                make_worker(database, strict.url, lenient.url, limit=1).run()
                rest_is_over(database)
            assert (len(strict.calls), len(lenient.calls)) == (1, 1)
        done = document(database, id_)
        assert done["transcript"]["server"] == lenient.url
        assert [error["server"] for error in done["errors"]] == [strict.url]

    def test_a_database_that_does_not_answer_is_no_empty_queue(self, database: Database) -> None:
        class Hiccup(MongoClaims):
            pages = 0

            def page(self, limit: int, order: Order) -> Page:
                self.pages += 1
                if self.pages == 2:
                    raise DatabaseUnavailable("The database does not answer")
                return super().page(limit, order)

        with ScriptedServer(always()).running() as server:
            settings = load_settings(
                server_urls=(server.url,),
                max_parallel_workers=1,
                required_empty_checks=2,
                empty_queue_wait_seconds=0.2,
            )
            claims = Hiccup(database, "worker_1", ClaimRules())
            Worker.at_database(database, settings, WorkOptions(), claims).run()
        assert claims.pages == 4  # empty, no answer, empty, empty

    def test_a_hiccup_of_the_database_is_over_even_if_no_server_answers(
        self, database: Database, opus: bytes
    ) -> None:
        add_chunks(database, 1, audio=opus)

        class Hiccup(MongoClaims):
            pages = 0

            def page(self, limit: int, order: Order) -> Page:
                self.pages += 1
                if self.pages == 1:
                    raise DatabaseUnavailable("The database does not answer")
                return super().page(limit, order)

        dead = f"http://127.0.0.1:{free_port()}"
        settings = load_settings(
            server_urls=(dead,),
            lease_seconds=scaled(1),
            server_unreachable_minutes=scaled(1.5) / 60,
        )
        # More than the time between two tries, less than the wait for a server.
        claims = Hiccup(database, "worker_1", ClaimRules(lease_seconds=scaled(1)))
        with pytest.raises(ServerUnavailable):  # and not the database's error, after a lease
            Worker.at_database(database, settings, WorkOptions(), claims).run()


class TestOddDocuments:
    """An odd document must never stop a worker, or be tried forever."""

    def test_documents_with_nonsense_in_every_field_end_and_stop_no_worker(
        self, database: Database, opus: bytes
    ) -> None:
        odd: list[dict[str, Any]] = [
            {"original_id": {"a": 1}, "index": 0, "data": opus},
            {"original_id": "a talk", "index": "first", "data": opus, "format": 5},
            {"original_id": ObjectId(), "index": 0, "data": "no bytes", "errors": 5},
            {"original_id": ObjectId(), "index": 0, "data": opus, "duration": -3},
            {"original_id": ObjectId(), "index": 1, "data": opus, "start": "yesterday"},
        ]
        database.chunks.insert_many(odd)
        stale = {"processing_by": "gone_1", "claimed_at": 5, "expirations": "x"}
        database.chunks.insert_one(
            {"original_id": ObjectId(), "index": 7, "data": opus, "errors": "none", **stale}
        )
        database.workers.insert_one({"_id": "odd", "slots": "four", "counts": 3, "chunks": 1})
        [good] = add_chunks(database, 1, audio=opus)
        with ScriptedServer(always()).running() as server:
            stats = make_worker(database, server.url, max_attempts=1).run()
        assert document(database, good)["transcribed_at"] is not None
        assert stats.counts["error"] == 1
        assert database.chunks.count_documents({"transcribed_at": None, "failed_at": None}) == 0

    def test_a_transcript_that_cannot_be_stored_counts_against_its_chunk(
        self, database: Database, opus: bytes
    ) -> None:
        [id_] = add_chunks(database, 1, audio=opus)
        with ScriptedServer(always("half a pair: \ud83d")).running() as server:
            make_worker(database, server.url, limit=1).run()
        assert document(database, id_)["errors"][0]["kind"] == "database_refused"
        assert document(database, id_)["processing_by"] is None


def test_two_workers_share_a_queue_without_doing_anything_twice(
    database: Database, opus: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_chunks(database, 20, audio=opus)
    with ScriptedServer(always()).running() as server:
        workers = []
        for name in ("one_1", "two_2"):
            monkeypatch.setattr(WorkerId, "of_this_process", lambda name=name: WorkerId(name))
            workers.append(make_worker(database, server.url))
        threads = [threading.Thread(target=worker.run) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum(worker.stats.done for worker in workers) == 20
    assert len(server.calls) == 20


class TestTheTotal:
    def test_it_comes_when_it_is_counted_and_the_work_does_not_wait_for_it(
        self, database: Database, opus: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        add_chunks(database, 2, audio=opus)
        may_count = threading.Event()

        class Claims(MongoClaims):
            def count_pending(self, order: Order) -> int:
                pending = super().count_pending(order)
                may_count.wait(60)
                return pending

        def call(number: int, _upload: bytes) -> Answer:
            if number == 1:  # the work has begun
                totals.append(worker.total)
                may_count.set()
                until(lambda: worker.total == 2)
            return Answer(body=heard("on"))

        totals: list[int | None] = []
        with caplog.at_level("INFO", "stt"), ScriptedServer(call).running() as server:
            claims = Claims(database, "count_1", ClaimRules())
            worker = make_worker(database, server.url, claims=claims, max_parallel_workers=1)
            assert worker.run().done == 2
        assert totals == [None]
        assert "Total pending chunks: 2" in caplog.messages

    def test_a_count_that_fails_is_no_outage(
        self, database: Database, opus: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        add_chunks(database, 1, audio=opus)

        class Claims(MongoClaims):
            def count_pending(self, order: Order) -> int:
                raise DatabaseUnavailable("it takes too long")

        with caplog.at_level("INFO", "stt"), ScriptedServer(always()).running() as server:
            claims = Claims(database, "count_2", ClaimRules())
            worker = make_worker(database, server.url, claims=claims)
            assert worker.run().done == 1
        assert worker.total is None
        assert "waiting for it" not in caplog.text


def test_a_machine_that_cannot_start_a_decoder_charges_no_chunk_and_stops(
    database: Database, opus: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    [id_] = add_chunks(database, 1, audio=opus)
    refused = DecoderUnavailable("The decoder cannot be started: out of processes")
    monkeypatch.setattr("stt.worker.transcriber.decode", Mock(side_effect=refused))
    with ScriptedServer(always()).running() as server:
        worker = make_worker(database, server.url)
        with pytest.raises(DecoderUnavailable) as raised:
            worker.run()
    assert raised.value.exit_code == 1
    left = document(database, id_)
    assert (left["processing_by"], left["attempts"], left["transcribed_at"]) == (None, 0, None)


def test_its_log_at_verbose_says_how_each_chunk_went_and_how_much_went_well(
    database: Database, opus: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    add_chunks(database, 2, audio=opus)
    add_chunks(database, 1, audio=BROKEN)
    with caplog.at_level("DEBUG", "stt"), ScriptedServer(always("good day")).running() as server:
        make_worker(database, server.url, max_attempts=1, max_parallel_workers=1).run()
    lines = [re.sub(r"in [\d.]+ s", "in 0.1 s", message) for message in caplog.messages]
    begins = ("Mode:", "[", "Progress:", "Success rate:", "Completed")
    assert [line.partition(",")[0] for line in lines if line.startswith(begins)][-2:] == [
        "Success rate: 66.7 % (2/3)",
        "Completed processing. Stats: {'transcribed': 2",
    ]
    assert any(line.startswith("Mode: one at a time, 1 call(s)") for line in lines)
    assert sum("/3] completed in 0.1 s: 8 chars" in line for line in lines) == 2
    assert "Progress: 3/3 (100.0 %)" in lines
