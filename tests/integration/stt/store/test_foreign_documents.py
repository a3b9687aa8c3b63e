"""Documents of other programs go the whole way: page, claim, result, export."""

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Decimal128, Int64, ObjectId

from stt.domain.claim import ClaimRules, Order
from stt.domain.transcript import Segment, Transcript
from stt.store import claims
from stt.store.claims import MongoClaims
from stt.store.database import Database
from stt.store.export import Export
from stt.store.recordings import MongoRecordings
from stt.store.workers import MongoRoster

_THEN = datetime(2025, 3, 1, tzinfo=UTC)

ODD: dict[str, dict[str, Any]] = {
    "no more than needed": {},
    "an index that is a float": {"index": 3.0},
    "an index of 64 bits": {"index": Int64(3)},
    "dates as text": {"start": "2025-03-01T09:00:00Z", "ingested_at": "2025-03-01"},
    "a vad with more in it": {"vad": {"has_speech": True, "prob": 0.9, "frames": [{"p": 0.1}]}},
    "a vad that is a number": {"vad": 0.7},
    "numbers as text": {"duration": "10", "offset": "0", "priority": "high", "attempts": "2"},
    "a decimal": {"duration": Decimal128("10.0"), "offset": Decimal128("0")},
    "nulls": dict.fromkeys(("start", "offset", "duration", "format", "vad", "errors", "priority")),
    "errors that are none": {"errors": ["it broke", 5, None], "solo": "yes"},
    "an id of 64 bits": {"_id": Int64(7)},
    "an id that is text": {"_id": "chunk-7"},
    "a recording's id of 64 bits": {"original_id": Int64(7)},
    "a recording's id in hexadecimal": {"original_id": "65f1a2b3c4d5e6f7a8b9c0d1"},
    "a claim without a time": {"processing_by": "studio_1"},
    "a claim with a time as text": {"processing_by": "studio_1", "claimed_at": "2025-03-01"},
    "a claim of long ago": {"processing_by": "studio_1", "claimed_at": _THEN},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=list(ODD))
def test_an_odd_chunk_is_transcribed_and_shown(
    database: Database, alice: MongoClaims, rules: ClaimRules, odd: dict[str, Any]
) -> None:
    recording_id = ObjectId()
    database.recordings.insert_one({"_id": recording_id, "path": "/a/talk.m4a", "ingested": True})
    database.chunks.insert_one({"original_id": recording_id, "index": 0, "data": b"x"} | odd)
    claims.recover(database, rules)
    (found,) = alice.page(5, Order()).chunks
    claim = alice.claim(found)
    assert claim is not None
    assert list(MongoRoster(database).holders().values()) == ["alice_1"]
    assert alice.renew_all([claim]) == []
    alice.complete(claim, Transcript((Segment(0.0, 1.0, "hello"),)))
    assert MongoRoster(database).holders() == {}
    if "original_id" not in odd:
        recording = MongoRecordings(database).get(recording_id)
        assert "".join(Export(database, recording).pieces("txt")).split() == ["hello"]
