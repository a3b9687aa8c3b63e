"""Transcripts that are too large for their chunk, and those of claims that are over."""

import json

import pytest
import requests
from bson import ObjectId

from stt.store.claim_queries import seconds_claimed_under
from stt.store.database import Database
from tests.support.queue_builder import add_chunks, document
from tests.support.remote_member import Member

NESTED = "[" + ",".join(["[]"] * 2_500_000) + "]"
"""8 MB that take seconds to parse."""


def completion(mac: Member, chunk_id: ObjectId, claim_id: ObjectId, transcript: str) -> str:
    ids = {"worker_id": mac.worker, "chunk_id": str(chunk_id), "claim_id": str(claim_id)}
    return f'{json.dumps(ids)[:-1]}, "transcript": {transcript}}}'


def complete(mac: Member, body: str) -> requests.Response:
    headers = {"Content-Type": "application/json"}
    return mac.session.post("/tasks/complete", data=body, headers=headers)


def test_the_body_of_a_claim_that_is_over_is_not_parsed(database: Database, mac: Member) -> None:
    [id_] = add_chunks(database, 1)
    for body in (NESTED, "no JSON at all"):
        answer = complete(mac, completion(mac, id_, ObjectId(), body))
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "claim_lost")


def test_a_body_that_no_transcript_of_the_chunk_can_be_is_refused_unparsed(
    database: Database, mac: Member
) -> None:
    [id_] = add_chunks(database, 1)
    claim = mac.claim(database, id_)
    text = json.dumps({"segments": [{"start": 0, "end": 1, "text": "x" * 90_000}] * 5})
    for transcript in (NESTED, "[" * 3_000, text):
        answer = complete(mac, completion(mac, id_, claim.id, transcript))
        assert answer.status_code == 413
        assert answer.json()["error"]["message"] == (
            "This is more than a transcript of 30.0 s of audio can be."
        )
    assert document(database, id_)["processing_by"] == mac.worker  # the claim is still held


def test_a_long_transcript_of_a_chunk_is_stored_and_may_be_sent_again(
    database: Database, mac: Member
) -> None:
    [id_] = add_chunks(database, 1)
    claim = mac.claim(database, id_)
    word = {"start": 0, "end": 1, "word": "ja", "probability": 0.123456789}
    segments = json.dumps(
        {"segments": [{"start": 0, "end": 30, "text": "ja", "words": [word] * 450}]}
    )
    body = completion(mac, id_, claim.id, segments)
    for _ in range(2):
        assert complete(mac, body).json() == {"ok": True}
    assert len(document(database, id_)["transcript"]["segments"][0]["words"]) == 450


def test_ids_behind_a_large_transcript_are_not_waited_for(database: Database, mac: Member) -> None:
    [id_] = add_chunks(database, 1)
    claim = mac.claim(database, id_)
    ids = json.loads(completion(mac, id_, claim.id, "{}"))
    del ids["transcript"]
    for size, status in ((1_000, 200), (1_500_000, 422)):
        transcript = {"segments": [{"start": 0, "end": 1, "text": "x" * min(size, 90_000)}]}
        body = json.dumps({"transcript": transcript, "unknown": "x" * size} | ids)
        assert complete(mac, body).status_code == status


def test_a_worker_of_another_node_is_forbidden_before_the_body_is_parsed(
    database: Database, mac: Member
) -> None:
    [id_] = add_chunks(database, 1)
    claim = mac.claim(database, id_)
    body = completion(mac, id_, claim.id, "no JSON").replace(mac.worker, "other_1")
    assert complete(mac, body).status_code == 403


@pytest.mark.parametrize(("duration", "seconds"), [(12.5, 12.5), (None, 0.0), ("odd", 0.0)])
def test_the_length_of_a_chunk_is_known_to_its_latest_claim(
    database: Database, mac: Member, duration: object, seconds: float
) -> None:
    [id_] = add_chunks(database, 1, duration=duration)
    assert seconds_claimed_under(database, id_, ObjectId()) is None
    claim = mac.claim(database, id_)
    assert seconds_claimed_under(database, id_, claim.id) == seconds
    mac.queue.release(claim)
    assert seconds_claimed_under(database, id_, claim.id) == seconds
