"""Transcribing claims: what counts against a chunk."""

from unittest.mock import Mock

import pytest
from bson import ObjectId

from stt.domain.chunk import Chunk, Recording
from stt.domain.claim import Claim
from stt.settings import load_settings
from stt.worker.transcriber import Transcriber


def test_an_error_of_ours_while_the_audio_is_fetched_is_no_failure_of_the_chunk() -> None:
    recordings = Mock(**{"audio.side_effect": KeyError("a bug")})
    claim = Claim(ObjectId(), Chunk(ObjectId(), None, 0), "box_1", 0.0)
    transcribed = Transcriber(recordings, Mock(), load_settings()).transcribe([claim], Mock())
    with pytest.raises(KeyError):
        next(transcribed)


@pytest.mark.parametrize(("asked_for", "found"), [(None, None), (0, ()), (2, ())])
def test_a_chunk_without_speech_has_speakers_if_they_are_asked_for_and_they_are_none(
    asked_for: int | None, found: tuple[()] | None
) -> None:
    recordings = Mock(**{"of.return_value": Recording(ObjectId(), "a.mp3", speakers=asked_for)})
    chunk = Chunk(ObjectId(), None, 0, has_speech=False)
    claim = Claim(ObjectId(), chunk, "box_1", 0.0)
    transcribed = Transcriber(recordings, Mock(), load_settings()).transcribe([claim], Mock())
    assert [outcome.speakers for _, outcome in transcribed] == [found]  # type: ignore[union-attr]
