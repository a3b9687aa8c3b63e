"""A recording in pieces, over a stand-in for the process that finds speakers."""

import asyncio
import tracemalloc
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from typing import cast
from unittest.mock import Mock

import numpy as np
import pytest

from stt.media.samples import Samples
from stt.transcripts.speakers import Voice
from whisper_server.engines.base import SAMPLE_RATE
from whisper_server.speakers import track as module
from whisper_server.speakers.diarizer import Diarizer
from whisper_server.speakers.track import PIECE_SECONDS, TAIL_SECONDS, SpeakerTrack, joined
from whisper_server.speakers.turns import PieceSpeakers, Turn


@dataclass
class StandInDiarizer:
    """Finds one turn of 10 s at the start of each piece; its voice is the first sample's value."""

    seconds: list[float] = field(default_factory=list)
    failure: Exception | None = None

    def find(self, read: Callable[[], Samples]) -> "Future[PieceSpeakers]":
        future: Future[PieceSpeakers] = Future()
        if self.failure:
            future.set_exception(self.failure)
        else:
            samples = read()
            self.seconds.append(len(samples) / SAMPLE_RATE)
            voices = (voice(int(samples[0])),) if len(samples) else ()
            future.set_result(PieceSpeakers((Turn(0.0, 10.0, 0),) * len(voices), voices))
        return future


def voice(direction: int, seconds: float = 10.0) -> Voice:
    return Voice(np.eye(3, dtype=np.float32)[direction], seconds)


def track_of(blocks: Sequence[tuple[float, int]], diarizer: StandInDiarizer) -> PieceSpeakers:
    """Find the speakers of blocks of so many seconds with samples of one value."""
    with closing(SpeakerTrack(cast(Diarizer, diarizer))) as track:
        for seconds, value in blocks:
            track.add(np.full(round(seconds * SAMPLE_RATE), value, np.int16))
        track.add(None)
        return asyncio.run(track.result())


def test_a_short_recording_is_one_piece() -> None:
    diarizer = StandInDiarizer()
    found = track_of([(PIECE_SECONDS, 1), (TAIL_SECONDS - 1, 1)], diarizer)
    assert diarizer.seconds == [PIECE_SECONDS + TAIL_SECONDS - 1]
    assert found.turns == (Turn(0.0, 10.0, 0),)


def test_the_last_piece_is_found_while_the_text_is_still_decoded() -> None:
    diarizer = StandInDiarizer()
    with closing(SpeakerTrack(cast(Diarizer, diarizer))) as track:
        track.add(np.zeros(SAMPLE_RATE, np.int16))
        assert diarizer.seconds == []
        track.add(None)
        assert diarizer.seconds == [1.0]


def test_a_long_one_is_cut_and_no_piece_is_short() -> None:
    diarizer = StandInDiarizer()
    blocks = [(1.0, 0)] * round(2 * PIECE_SECONDS + TAIL_SECONDS + 5)
    found = track_of(blocks, diarizer)
    assert diarizer.seconds == [PIECE_SECONDS, PIECE_SECONDS, TAIL_SECONDS + 5]
    assert [turn.start for turn in found.turns] == [0.0, PIECE_SECONDS, 2 * PIECE_SECONDS]


def test_the_same_voice_is_one_speaker_in_all_pieces() -> None:
    blocks = [(PIECE_SECONDS, 0), (PIECE_SECONDS, 1), (PIECE_SECONDS, 0)]
    found = track_of(blocks, StandInDiarizer())
    assert [turn.speaker for turn in found.turns] == [0, 1, 0]
    assert [each.seconds for each in found.voices] == [20.0, 10.0]
    assert found.voices[1].embedding.tolist() == [0.0, 1.0, 0.0]


def test_nothing_read_has_no_speakers() -> None:
    assert track_of([], StandInDiarizer()) == PieceSpeakers()


def test_what_fails_in_the_process_is_raised() -> None:
    with pytest.raises(OSError, match="gone"):
        track_of([(1.0, 0)], StandInDiarizer(failure=OSError("gone")))


def error_of_the_result(diarizer: StandInDiarizer) -> Exception:
    """Add two pieces, which raises nothing: the thread that does it decodes the text."""
    piece = np.zeros(round((PIECE_SECONDS + TAIL_SECONDS) * SAMPLE_RATE), np.int16)
    with closing(SpeakerTrack(cast(Diarizer, diarizer))) as track:
        track.add(piece)
        track.add(piece)
        with pytest.raises(OSError) as raised:  # noqa: PT011
            asyncio.run(track.result())
    return raised.value


def test_a_diarizer_that_takes_nothing_is_an_error_of_the_result() -> None:
    refusing = StandInDiarizer()
    refusing.find = Mock(side_effect=OSError(11, "unavailable"))  # type: ignore[method-assign]
    assert "unavailable" in str(error_of_the_result(refusing))
    refusing.find.assert_called_once()


def test_a_full_disk_is_an_error_of_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    no_space = OSError(28, "No space left on device")
    full = Mock(**{"write.side_effect": no_space, "close.side_effect": no_space})
    monkeypatch.setattr(module, "SpooledTemporaryFile", lambda most: full)
    assert "No space left" in str(error_of_the_result(StandInDiarizer()))


def test_pieces_that_wait_take_no_memory() -> None:
    """Where diarizing is slower than decoding, hours of samples wait."""
    waiting: list[tuple[Callable[[], Samples], Future[PieceSpeakers]]] = []

    def find(read: Callable[[], Samples]) -> "Future[PieceSpeakers]":
        waiting.append((read, Future()))
        return waiting[-1][1]

    diarizer = StandInDiarizer()
    diarizer.find = find  # type: ignore[method-assign]
    track = SpeakerTrack(cast(Diarizer, diarizer))
    minute = np.arange(60 * SAMPLE_RATE, dtype=np.int16)
    tracemalloc.start()
    for _ in range(60):
        track.add(minute.copy())
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(waiting) == 11
    assert most < 3 * (PIECE_SECONDS + TAIL_SECONDS) * SAMPLE_RATE * 2, "of 115 MB"
    for read, _ in waiting:
        assert np.array_equal(read(), np.tile(minute, round(PIECE_SECONDS / 60)))
    track.close()
    with pytest.raises(ValueError, match="closed"):
        waiting[0][0]()


def test_pieces_that_have_not_begun_are_cancelled() -> None:
    track = SpeakerTrack(cast(Diarizer, waiting := StandInDiarizer()))
    pending: Future[PieceSpeakers] = Future()
    waiting.find = lambda read: pending  # type: ignore[method-assign]
    track.add(np.zeros(round((PIECE_SECONDS + TAIL_SECONDS) * SAMPLE_RATE), np.int16))
    track.close()
    assert pending.cancelled()


def test_a_voice_too_short_to_judge_has_no_turns() -> None:
    long = PieceSpeakers((Turn(0.0, 10.0, 0),), (voice(0),))
    short = PieceSpeakers((Turn(0.0, 1.0, 0),), (voice(1, 1.0),))
    assert joined([(0.0, long), (300.0, short)]).turns == (Turn(0.0, 10.0, 0),)
