"""Transcribing claims: what counts against a chunk."""

from unittest.mock import Mock

import pytest
from bson import ObjectId

from stt.domain.chunk import Chunk
from stt.domain.claim import Claim
from stt.settings import load_settings
from stt.worker.transcriber import Transcriber


def test_an_error_of_ours_while_the_audio_is_fetched_is_no_failure_of_the_chunk() -> None:
    recordings = Mock(**{"audio.side_effect": KeyError("a bug")})
    claim = Claim(ObjectId(), Chunk(ObjectId(), None, 0), "box_1", 0.0)
    transcribed = Transcriber(recordings, Mock(), load_settings()).transcribe([claim], Mock())
    with pytest.raises(KeyError):
        next(transcribed)
