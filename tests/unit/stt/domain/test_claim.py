"""Claims, their rules, and what logs say of one that ran out."""

import time
from dataclasses import replace
from unittest.mock import Mock

from bson import ObjectId

from stt.domain.chunk import Chunk
from stt.domain.claim import Claim, ClaimRules, Page, StaleClaim
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


def test_the_last_run_of_a_recording_that_is_being_cut_waits_until_it_is_whole() -> None:
    growing, whole = ObjectId(), ObjectId()
    chunks = [Chunk(ObjectId(), growing, index, duration=30.0) for index in range(7)]
    others = [Chunk(ObjectId(), whole, index, duration=30.0) for index in range(2)]
    page = Page((*chunks, *others), is_last=True, growing={growing: 20})
    roster = Mock(slots_alive=lambda: 4)
    assert page.share(roster) == 22 // 4
    assert page.share(roster, expected_chunks=40) == 10
    runs = page.runs(page.chunks, 90.0, page.share(roster))
    assert [[chunk.index for chunk in run] for run in runs] == [[0, 1, 2], [3, 4, 5], [0, 1]]
    assert len(page.runs(page.chunks[:6], 90.0, 5)) == 2  # nothing more fits into the second
    ended = replace(page, growing={})
    assert [len(run) for run in ended.runs(ended.chunks, 90.0, 5)] == [3, 3, 1, 2]
    failed = replace(chunks[6], attempts=1)
    assert page.runs([failed], 90.0, 5) == [(failed,)]
