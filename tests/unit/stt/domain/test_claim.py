"""Claims, their rules, and what logs say of one that ran out."""

import time

from bson import ObjectId

from stt.domain.chunk import Chunk
from stt.domain.claim import Claim, ClaimRules, StaleClaim
from stt.settings import load_settings


def test_rules_come_from_settings() -> None:
    settings = load_settings(lease_seconds=60, max_attempts=2, max_expirations=4)
    assert ClaimRules.of(settings) == ClaimRules(60, 2, 4)


def test_a_claim_is_trusted_for_nine_tenths_of_the_lease() -> None:
    assert ClaimRules(lease_seconds=300).trusted_seconds == 270
    chunk = Chunk(ObjectId(), None, 0)
    assert Claim(ObjectId(), chunk, "a_1", time.monotonic() + 60).is_trusted
    assert not Claim(ObjectId(), chunk, "a_1", time.monotonic()).is_trusted


def test_a_claim_that_ran_out_says_what_becomes_of_its_chunk() -> None:
    id_ = ObjectId()
    again = StaleClaim(id_, "a_1", None, quarantined=False)
    last = StaleClaim(id_, "a_1", None, quarantined=True)
    assert str(again) == f"claim of a_1 on chunk {id_} ran out: pending again"
    assert str(last).endswith("ran out: quarantined")
    assert again.log_fields == {"chunk": id_, "holder": "a_1"}
