"""Each write to one chunk names the key by which `audio_chunks` may be sharded."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from bson import ObjectId

from stt.domain.claim import ClaimRules, Order
from stt.domain.transcript import Transcript
from stt.store import claims
from stt.store.chunk_key import key_in, key_of, recordings_of
from stt.store.claims import MongoClaims
from stt.store.database import Database
from stt.store.documents import read_chunk
from stt.store.ingest import ingest
from stt.store.ingest_options import IngestOptions
from stt.store.recordings import MongoRecordings
from tests.support.commands_sent import CommandsSent, single_documents
from tests.support.coordinator_app import running_coordinator
from tests.support.queue_builder import add_chunks, chunk
from tests.support.recordings import babble, write_wav
from tests.support.remote_member import Member


@pytest.fixture
def sent(mongo_url: str, database: Database) -> Iterator[CommandsSent]:
    watched = CommandsSent(mongo_url, database.chunks.database.name)
    with watched.database:
        yield watched


def _check(sent: CommandsSent, at_least: int) -> None:
    queries = [query for c in sent.writes("audio_chunks") for query in single_documents(c)]
    assert len(queries) >= at_least
    assert [query for query in queries if query.get("original_id") is None] == []


def test_every_transition_names_the_recording(
    sent: CommandsSent, database: Database, rules: ClaimRules
) -> None:
    holder = MongoClaims(sent.database, "carol_3", rules)
    held = [holder.claim(chunk(database, id_)) for id_ in add_chunks(database, 5)]
    one, two, three, four, five = (claim for claim in held if claim)
    holder.renew(one)
    assert holder.renew_all([one, two, three]) == []
    holder.complete(one, Transcript())
    holder.release(two, isolated=True)
    holder.fail(three, "refused", "no")
    database.chunks.update_one({"_id": four.chunk.id}, {"$set": {"claimed_at": None}})
    assert len(claims.recover(sent.database, rules)) == 1
    database.chunks.update_many(
        {"_id": {"$in": [two.chunk.id, four.chunk.id]}}, {"$set": {"solo": True, "attempts": 1}}
    )
    assert holder.claim(chunk(database, two.chunk.id)) is not None
    assert holder.claim(chunk(database, four.chunk.id)) is None, "a second poison candidate"
    holder.complete(five, Transcript())
    _check(sent, at_least=15)


def test_an_ingest_and_a_removal_name_the_recording(sent: CommandsSent, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "talk.wav", babble(3))
    recording = ingest(sent.database, path, IngestOptions(chunk_seconds=1)).recording
    MongoRecordings(sent.database).remove(recording.id)
    _check(sent, at_least=3)
    deletes = [c["deletes"] for c in sent.writes("audio_chunks") if "delete" in c]
    assert all("original_id" in one["q"] for many in deletes for one in many)


def test_a_coordinator_names_the_recording_of_what_a_node_holds(
    sent: CommandsSent, database: Database, tmp_path: Path, rules: ClaimRules
) -> None:
    with running_coordinator(sent.database, tmp_path) as coordinator:
        member = Member(coordinator, rules)
        one, two, three, four = (member.claim(database, id_) for id_ in add_chunks(database, 4))
        member.queue.renew(one)
        assert member.queue.renew_all([one, two, three, four]) == []
        member.queue.complete(one, Transcript())
        member.queue.release(two)
        member.queue.fail(three, "refused", "no")
        _check(sent, at_least=11)


@pytest.mark.parametrize("odd", [None, {"$oid": "x"}, ["a", "list"], "text", 5], ids=str)
def test_a_chunk_with_an_odd_recording_is_claimed_all_the_same(
    database: Database, alice: MongoClaims, odd: object
) -> None:
    database.chunks.insert_one({"index": 0} | ({"original_id": odd} if odd else {}))
    (found,) = alice.page(5, Order()).chunks
    claim = alice.claim(found)
    assert claim is not None
    alice.renew(claim)
    alice.complete(claim, Transcript())
    assert database.chunks.count_documents({"transcribed_at": {"$ne": None}}) == 1


def test_the_key_is_the_id_alone_where_no_recording_is_known() -> None:
    id_, recording_id = ObjectId(), ObjectId()
    assert key_in({"_id": id_}) == key_in({"_id": id_, "original_id": [1]}) == {"_id": id_}
    document = {"_id": id_, "original_id": recording_id}
    assert key_in(document) == key_of(read_chunk(document)) == document


def test_recordings_are_found_by_the_ids_of_chunks(database: Database) -> None:
    known, unknown = add_chunks(database, 1)[0], ObjectId()
    recording_id = chunk(database, known).recording_id
    assert recordings_of(database, [known, unknown]) == {known: recording_id}
