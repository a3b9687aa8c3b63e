"""How large a transcript may be, and what a request is for, before its body is parsed."""

import json

import pytest
from bson import ObjectId

from stt.coordinator.completion_route import _find_ids, _Limits
from stt.coordinator.errors import TooLarge
from stt.coordinator.middleware.body_limit import MAX_TRANSCRIPT_BYTES, containers

CHUNK, CLAIM = ObjectId(), ObjectId()
IDS = {"worker_id": "mac_1", "chunk_id": str(CHUNK), "claim_id": str(CLAIM)}
WORDS_A_SECOND = 15  # as many as a tokenizer of Whisper allows


def wordy(seconds: float) -> bytes:
    """Return the largest transcript that a server may make of so much audio."""
    word = {"start": 1234.567, "end": 1234.567, "word": "æ" * 10, "probability": 0.123456789012345}
    count = int(seconds * WORDS_A_SECOND)
    segment = {"start": 0.0, "end": seconds, "text": "æ" * 10, "avg_logprob": -0.123456789012345}
    segments = [segment | {"words": [word] * 5}] * (count // 5)
    return json.dumps(IDS | {"transcript": {"segments": segments}}).encode()


@pytest.mark.parametrize("seconds", [0.5, 1.0, 30.0, 600.0])
def test_the_longest_transcript_of_a_chunk_is_within_its_limits(seconds: float) -> None:
    body = wordy(seconds)
    _Limits(seconds).check(len(body), containers(body))


@pytest.mark.parametrize(("size", "parts"), [(400_000, 1), (10, 3_000)])
def test_more_than_that_is_too_large(size: int, parts: int) -> None:
    with pytest.raises(TooLarge, match=r"30\.0 s of audio"):
        _Limits(30.0).check(size, parts)


def test_the_longest_chunk_has_limits_too() -> None:
    endless = _Limits(1e6)
    assert (endless.bytes, endless.containers) == (MAX_TRANSCRIPT_BYTES, 100_000)


def test_the_ids_are_found_without_parsing_wherever_they_stand() -> None:
    for body in (json.dumps(IDS | {"transcript": {}}), json.dumps({"transcript": {}} | IDS)):
        assert _find_ids(bytearray(body.encode())) == ("mac_1", CHUNK, CLAIM)
    assert _find_ids(bytearray(json.dumps(IDS, separators=(",", ":")).encode())) is not None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        json.dumps(IDS | {"claim_id": "no id"}).encode(),
        json.dumps({"transcript": json.dumps(IDS)}).encode(),  # within a text
        json.dumps(IDS).encode("utf-16"),
    ],
    ids=["none", "wrong", "within-a-text", "other-encoding"],
)
def test_ids_that_are_not_there_are_not_found(body: bytes) -> None:
    assert _find_ids(bytearray(body)) is None
