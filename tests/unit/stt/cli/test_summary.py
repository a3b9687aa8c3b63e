"""The end of a run in words."""

import logging

import pytest
from bson import ObjectId

from stt.cli.summary import RunSummary, in_words, with_failed
from stt.domain.chunk import Chunk
from stt.worker.stats import Stats


def test_it_says_how_much_how_long_and_how_fast() -> None:
    words = in_words("12 recordings", 13_200, 660)
    assert words == "12 recordings, 3h 40m of audio in 11m, 20 × real time"
    assert in_words("1 recording", 2.0, 0.1) == "1 recording, 2s of audio in 1s, 20 × real time"
    assert in_words("1 recording", 0.0, 5.0) == "1 recording, 0s of audio in 5s"


def test_the_first_failed_ones_are_named() -> None:
    assert with_failed("3 recordings", []) == "3 recordings"
    assert with_failed("3 recordings", ["a.mp3", "b.mp3"]) == "3 recordings; 2 failed: a.mp3, b.mp3"
    assert with_failed("x", list("abcde")) == "x; 5 failed: a, b, c and 2 more"


def test_a_worker_sums_up_what_it_finished_and_an_idle_one_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stats, summary, talk = Stats(), RunSummary(), ObjectId()
    with caplog.at_level(logging.INFO, "stt"):
        summary.log(stats)
        assert not caplog.messages
        for index in range(3):
            stats.succeeded(Chunk(ObjectId(), talk, index, duration=30.0), "transcribed")
        stats.failed(Chunk(ObjectId(), ObjectId(), 0, duration=30.0), is_last_try=True)
        summary.log(stats)
    [line] = caplog.messages
    assert line.startswith("2 recordings, 4 chunks, 2m 00s of audio in ")
    assert line.endswith(" × real time; 1 chunk failed: `stt status` says why")
    assert vars(caplog.records[0])["audio_seconds"] == 120.0
