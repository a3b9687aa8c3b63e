"""Runs of chunks as one call, and chunks that another worker claimed first."""

import logging
import re
import time

import pytest
from bson import ObjectId

from stt.cli.log_lines import TextFormatter
from stt.domain.chunk import Chunk
from stt.domain.claim import Claim, ClaimRules
from stt.errors import DatabaseUnavailable
from stt.media.audio import Samples, decode, encode_flac, encode_opus
from stt.settings import load_settings
from stt.store.claims import MongoClaims
from stt.store.database import Database
from stt.worker.context import WorkOptions
from stt.worker.outage import Outage
from stt.worker.worker import Worker
from tests.support.decoders import dying_decoders
from tests.support.dying_decoder import deadly
from tests.support.queue_builder import add_chunks, add_recording, document
from tests.support.scripted_server import (
    Answer,
    ScriptedServer,
    always,
    heard,
    refusal,
    seconds_of,
)
from tests.support.speech import opus_tone, tone
from tests.support.workers import BROKEN, make_worker


@pytest.fixture(scope="module")
def opus() -> bytes:
    return opus_tone(2.0)


class OvertakenClaims(MongoClaims):
    """Between this worker's page and its first claim, another worker claims that chunk."""

    def __init__(self, database: Database, other: MongoClaims) -> None:
        super().__init__(database, "late_3", ClaimRules())
        self._other: MongoClaims | None = other

    def claim(self, chunk: Chunk, claim_id: ObjectId | None = None) -> Claim | None:
        other, self._other = self._other, None
        if other is not None:
            assert other.claim(chunk) is not None
        return super().claim(chunk, claim_id)


class TestSequences:
    def test_consecutive_chunks_are_sent_as_one_recording_and_come_back_apart(
        self, database: Database, opus: bytes
    ) -> None:
        ids = add_chunks(database, 3, audio=opus)
        words = [(0.2, 0.9, " one"), (1.5, 1.95, " two"), (2.1, 2.6, " three"), (5, 5.5, " four")]
        listed = [{"start": s, "end": e, "word": w} for s, e, w in words]
        segments = [
            {"start": 0.2, "end": 2.6, "text": " one two three"},
            {"start": 5.0, "end": 5.5, "text": " four"},
        ]
        body = {"text": "x", "language": "en", "segments": segments, "words": listed}
        with ScriptedServer(lambda number, upload: Answer(body=body)).running() as server:
            stats = make_worker(
                database, server.url, sequence_seconds=300, max_parallel_workers=1
            ).run()
        assert len(server.calls) == 1
        assert seconds_of(server.uploads[0]) == pytest.approx(6.0, abs=1e-6)
        stored = [document(database, id_)["transcript"]["segments"] for id_ in ids]
        times = [[(s["start"], s["end"], s["text"]) for s in segments] for segments in stored]
        assert times == [[(0.2, 1.95, "one two")], [(0.1, 0.6, "three")], [(1.0, 1.5, "four")]]
        assert stats.counts["transcribed"] == 3

    def test_a_broken_chunk_in_a_sequence_is_known_by_name_and_its_neighbours_go_on(
        self, database: Database, opus: bytes
    ) -> None:
        ids = add_chunks(database, 3, audio=opus)
        database.audio.update_one({"_id": ids[1]}, {"$set": {"data": BROKEN}})
        with ScriptedServer(always()).running() as server:
            worker = make_worker(
                database, server.url, sequence_seconds=300, limit=3, max_parallel_workers=1
            )
            stats = worker.run()
        assert stats.counts["error"] == 1
        assert document(database, ids[1])["errors"][0]["kind"] == "bad_audio"
        for neighbour in (ids[0], ids[2]):
            assert document(database, neighbour)["transcribed_at"] is not None
            assert document(database, neighbour)["attempts"] == 0

    @pytest.mark.parametrize(("status", "kind"), [(400, "refused"), (500, "server_fault")])
    def test_a_sequence_that_fails_is_tried_chunk_by_chunk_and_only_the_bad_one_is_charged(
        self, database: Database, status: int, kind: str
    ) -> None:
        ids = add_chunks(database, 3, audio=opus_tone(1.0))
        database.audio.update_one({"_id": ids[1]}, {"$set": {"data": opus_tone(1.5)}})

        def script(number: int, upload: bytes) -> Answer:
            if number == 1 or abs(seconds_of(upload) - 1.5) < 0.2:
                return refusal(status, "cannot be done")
            return Answer(body=heard("fine"))

        with ScriptedServer(script).running() as server:
            options = {"sequence_seconds": 300, "limit": 3, "max_parallel_workers": 1}
            make_worker(database, server.url, **options).run()
        assert [document(database, id_)["attempts"] for id_ in ids] == [0, 1, 0]
        assert document(database, ids[1])["errors"][0]["kind"] == kind
        assert len(server.calls) == 4

    def test_a_chunk_that_failed_before_is_sent_alone(
        self, database: Database, opus: bytes
    ) -> None:
        ids = add_chunks(database, 3, audio=opus)
        database.chunks.update_one({"_id": ids[1]}, {"$set": {"expirations": 1}})
        with ScriptedServer(always()).running() as server:
            make_worker(database, server.url, sequence_seconds=300).run()
        assert len(server.calls) == 3


class TestBorders:
    """Chunks of other programs cut words in two: the sound beside them goes with them."""

    def test_what_is_beside_a_chunk_goes_with_it_and_is_left_to_its_own_chunk(
        self, database: Database
    ) -> None:
        ids = add_chunks(database, 3, audio=encode_opus(tone(10.0)), duration=10.0)
        lengths: list[float] = []

        def a_word_each_second(number: int, upload: bytes) -> Answer:
            lengths.append(round(seconds_of(upload)))
            (word,) = heard("word")["segments"]
            segments = [
                {**word, "start": second + 0.2, "end": second + 0.8}
                for second in range(round(seconds_of(upload)))
            ]
            return Answer(body={"text": "word", "language": "en", "segments": segments})

        with ScriptedServer(a_word_each_second).running() as server:
            make_worker(
                database, server.url, sequence_seconds=0, border_seconds=5, max_parallel_workers=1
            ).run()
        assert sorted(lengths) == [15, 15, 20]
        for id_ in ids:
            segments = document(database, id_)["transcript"]["segments"]
            assert [segment["start"] for segment in segments] == pytest.approx(
                [second + 0.2 for second in range(10)], abs=0.05
            )

    def test_a_chunk_that_ends_in_pauses_is_sent_as_it_is(
        self, database: Database, opus: bytes
    ) -> None:
        add_chunks(database, 3, audio=opus)
        with ScriptedServer(always()).running() as server:
            make_worker(database, server.url, sequence_seconds=0, border_seconds=10).run()
        assert server.uploads == [opus] * 3

    def test_the_language_of_a_short_run_is_found_with_what_is_around_it(
        self, database: Database, opus: bytes
    ) -> None:
        add_chunks(database, 3, recording_id=add_recording(database), audio=opus)
        with ScriptedServer(always()).running() as server:
            make_worker(
                database, server.url, sequence_seconds=0, border_seconds=10, max_parallel_workers=1
            ).run()
        assert sorted(round(seconds_of(upload)) for upload in server.uploads) == [4, 4, 6]

    @pytest.mark.parametrize("damage", ["no audio", "undecodable", "a decoder that fails"])
    def test_a_neighbour_that_cannot_be_read_leaves_a_chunk_as_it_is(
        self, database: Database, monkeypatch: pytest.MonkeyPatch, damage: str
    ) -> None:
        audio = encode_opus(tone(4.0))
        good, bad = add_chunks(database, 2, audio=audio)
        if damage == "no audio":
            database.audio.delete_one({"_id": bad})
        else:
            database.audio.update_one({"_id": bad}, {"$set": {"data": b"not audio"}})
        if damage == "a decoder that fails":

            def decode_or_fail(data: bytes) -> Samples:
                if data == b"not audio":
                    raise RuntimeError("the decoder failed")
                return decode(data)

            monkeypatch.setattr("stt.worker.transcriber.decode", decode_or_fail)
        with ScriptedServer(always("fine")).running() as server:
            options = {"sequence_seconds": 0, "border_seconds": 10, "max_parallel_workers": 1}
            make_worker(database, server.url, limit=2, **options).run()
        assert server.uploads == [audio]
        assert document(database, good)["transcript"]["segments"][0]["text"] == "fine"
        assert document(database, bad)["errors"][0]["kind"] == "bad_audio"

    def test_a_chunk_that_crashes_its_decoder_is_charged_and_the_worker_lives(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, bad, last = add_chunks(database, 3, audio=encode_opus(tone(4.0)))
        deadly_audio = encode_flac(tone(4.0)) + deadly("SIGSEGV")
        database.audio.update_one({"_id": bad}, {"$set": {"data": deadly_audio}})
        options = {"sequence_seconds": 0, "border_seconds": 10, "max_parallel_workers": 1}
        with (
            dying_decoders(monkeypatch),
            ScriptedServer(always("fine")).running() as server,
        ):
            make_worker(database, server.url, limit=3, **options).run()
        for good in (first, last):
            assert document(database, good)["transcript"]["segments"][0]["text"] == "fine"
        failed = document(database, bad)
        assert (failed["attempts"], failed["errors"][0]["kind"]) == (1, "bad_audio")
        assert "it crashes the decoder (SIGSEGV)" in failed["errors"][0]["message"]

    def test_a_bad_neighbour_is_not_charged_to_a_chunk(self, database: Database) -> None:
        good, bad = add_chunks(database, 2, audio=encode_opus(tone(4.0)))
        database.audio.update_one({"_id": bad}, {"$set": {"data": encode_opus(tone(6.0))}})

        def script(number: int, upload: bytes) -> Answer:
            if round(seconds_of(upload)) == 4:
                return Answer(body=heard("fine"))
            return refusal(400, "cannot be done")

        with ScriptedServer(script).running() as server:
            options = {"sequence_seconds": 0, "border_seconds": 10, "max_parallel_workers": 1}
            make_worker(database, server.url, limit=2, **options).run()
        assert document(database, good)["transcript"]["segments"][0]["text"] == "fine"
        assert document(database, good)["attempts"] == 0
        assert document(database, bad)["errors"][0]["kind"] == "refused"


class TestMisses:
    def test_a_miss_is_logged_in_the_line_that_people_grep_for(
        self,
        database: Database,
        opus: bytes,
        bob: MongoClaims,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        recording_id = add_recording(database)
        taken, *others = add_chunks(database, 3, recording_id=recording_id, audio=opus)
        with ScriptedServer(always()).running() as server, caplog.at_level(logging.INFO, "stt"):
            settings = load_settings(
                server_urls=(server.url,),
                max_parallel_workers=1,
                sequence_seconds=300,
                required_empty_checks=1,
            )
            claims = OvertakenClaims(database, bob)
            stats = Worker.at_database(database, settings, WorkOptions(), claims).run()
        lines = [TextFormatter(on_terminal=False).format(record) for record in caplog.records]
        [miss] = [line for line in lines if "already claimed" in line]
        found = re.match(
            r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  len (\d+) chunks  "
            r"OriginalId ([0-9a-f]{24})  already claimed by another worker$",
            miss,
        )
        assert found, miss
        assert (found[1], found[2]) == ("3", str(recording_id))
        assert stats.counts["skipped"] == 1
        assert document(database, taken)["processing_by"] == "bob_2"
        assert all(document(database, id_)["transcribed_at"] for id_ in others)


class LateToFail(MongoClaims):
    """An outage comes and goes, as another thread finds, while the first claim is asked for."""

    outage: Outage
    has_failed = False

    def claim(self, chunk: Chunk, claim_id: ObjectId | None = None) -> Claim | None:
        if not self.has_failed:
            self.has_failed = True
            error = DatabaseUnavailable("The database does not answer")
            self.outage.record_failure("renew", error, time.monotonic())
            self.outage.record_answer("renew")
            raise error
        return super().claim(chunk, claim_id)


def test_a_request_that_an_outage_delayed_beyond_its_end_begins_no_second_outage(
    database: Database, opus: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    add_chunks(database, 1, audio=opus)
    claims = LateToFail(database, "late_3", ClaimRules())
    with ScriptedServer(always()).running() as server, caplog.at_level(logging.INFO, "stt"):
        settings = load_settings(
            server_urls=(server.url,), required_empty_checks=1, max_parallel_workers=1
        )
        worker = Worker.at_database(database, settings, WorkOptions(), claims)
        claims.outage = worker._context.outage
        stats = worker.run()
    assert stats.counts["transcribed"] == 1
    outages = [message for message in caplog.messages if "waiting for it" in message]
    assert len(outages) == 1
