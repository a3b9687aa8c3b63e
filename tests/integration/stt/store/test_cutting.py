"""Recordings whose channels are cut one by one."""

import logging
from pathlib import Path

import numpy as np
import pytest

from stt.domain.chunk import chunk_runs
from stt.domain.claim import Order
from stt.errors import RecordingError
from stt.media.audio import SAMPLE_RATE, decode
from stt.store.claims import MongoClaims
from stt.store.cutting import MAX_CHANNELS
from stt.store.database import Database, Document
from stt.store.ingest import ingest
from stt.store.ingest_options import IngestOptions
from stt.store.status import queue_status
from tests.support.recordings import babble, best_lag, write_recording, write_wav

SPLIT = IngestOptions(chunk_seconds=4, channels="split")
SECONDS = 20


class PowerCut(BaseException):
    """Ends a run midway, as a signal would."""


@pytest.fixture
def call(tmp_path: Path) -> Path:
    """A speaker on each of two channels; the pauses of one are not those of the other."""
    right = np.roll(babble(SECONDS, seed=1), SAMPLE_RATE // 2)
    return write_wav(tmp_path / "call.wav", babble(SECONDS), right)


def chunks_of(database: Database, channel: int | None = None) -> list[Document]:
    query = {} if channel is None else {"channel": channel}
    return list(database.chunks.find(query).sort("index"))


def heard_on(
    database: Database, channel: int | None = None
) -> "np.ndarray[tuple[int], np.dtype[np.int16]]":
    found = (database.audio.find_one({"_id": c["_id"]}) for c in chunks_of(database, channel))
    return np.concatenate([decode(document["data"]) for document in found if document])


def places(database: Database) -> list[tuple[int, int, float, float]]:
    return [(c["index"], c["channel"], c["offset"], c["duration"]) for c in chunks_of(database)]


def test_each_channel_is_cut_by_itself_and_lasts_as_long_as_the_recording(
    database: Database, call: Path
) -> None:
    recording = ingest(database, call, SPLIT).recording
    chunks = chunks_of(database)
    assert [chunk["index"] for chunk in chunks] == list(range(len(chunks)))
    assert [chunk["channel"] for chunk in chunks] == sorted(chunk["channel"] for chunk in chunks)
    assert {chunk["channels"] for chunk in chunks} == {2}
    assert (recording.duration, recording.channels) == (SECONDS, "split")
    assert recording.chunk_count == len(chunks)
    right = np.roll(babble(SECONDS, seed=1), SAMPLE_RATE // 2)
    for channel, said in ((1, babble(SECONDS)), (2, right)):
        assert sum(c["duration"] for c in chunks_of(database, channel)) == SECONDS
        assert chunks_of(database, channel)[0]["offset"] == 0.0
        heard = heard_on(database, channel)
        for second in (0, 10, 17):
            part = slice(second * SAMPLE_RATE, (second + 3) * SAMPLE_RATE)
            assert best_lag(heard[part], said[part]) == 0


def test_a_worker_gets_sequences_of_one_channel(
    database: Database, alice: MongoClaims, call: Path
) -> None:
    ingest(database, call, SPLIT)
    page = alice.page(100, Order())
    runs = chunk_runs(page.chunks, 300, 100)
    assert [len({chunk.channel for chunk in run}) for run in runs] == [1, 1]
    assert sum(map(len, runs)) == len(chunks_of(database))


def test_progress_and_status_are_those_of_the_recording(database: Database, call: Path) -> None:
    seen: list[tuple[float, float | None]] = []
    ingest(database, call, SPLIT, lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (SECONDS, SECONDS)
    assert all(total == SECONDS for _, total in seen)
    [progress] = queue_status(database, 300).sources
    assert progress.duration_seconds == SECONDS


@pytest.mark.parametrize("seconds", [1, 9, 10, 12])
def test_a_run_that_was_stopped_cuts_as_one_that_was_not(
    database: Database, call: Path, seconds: float
) -> None:
    ingest(database, call, SPLIT)
    whole = places(database)
    for collection in (database.recordings, database.chunks, database.audio):
        collection.delete_many({})

    def cut_power(done: float, _total: float | None) -> None:
        if done >= seconds:
            raise PowerCut

    with pytest.raises(PowerCut):
        ingest(database, call, SPLIT, cut_power)
    assert 0 < len(chunks_of(database)) < len(whole)
    # How the channels are cut is the recording's, whatever is asked for now.
    assert ingest(database, call, IngestOptions()).status == "resumed"
    assert places(database) == whole
    assert database.audio.count_documents({}) == len(whole)


def test_a_channel_on_which_nobody_speaks_needs_no_server(
    database: Database, tmp_path: Path
) -> None:
    silent = np.full(8 * SAMPLE_RATE, 2, np.int16)
    ingest(database, write_wav(tmp_path / "call.wav", babble(8), silent), SPLIT)
    assert all("vad" not in chunk for chunk in chunks_of(database, 1))
    assert {str(chunk["vad"]) for chunk in chunks_of(database, 2)} == {
        "{'has_speech': False, 'prob': 0.0}"
    }


def test_one_channel_is_cut_as_ever_and_a_line_says_so(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_wav(tmp_path / "memo.wav", babble(8))
    ingested = ingest(database, path, SPLIT)
    assert all("channel" not in chunk for chunk in chunks_of(database))
    line = "it has one channel: there is nothing to split"
    [record] = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert record.getMessage() == f"{path}: {line}"
    assert ingested.warnings == (line,)
    assert ingest(database, path, SPLIT).warnings == (line,)


@pytest.mark.parametrize("extension", ["wav", "mp3", "m4a", "opus"])
def test_channels_that_hold_the_same_sound_are_transcribed_once(
    database: Database, tmp_path: Path, extension: str
) -> None:
    path = write_recording(tmp_path / f"memo.{extension}", 6.0, layout="stereo")
    ingested = ingest(database, path, SPLIT)
    assert ingested.warnings == ("its channels hold the same sound: there is nothing to split",)
    assert all("channel" not in chunk for chunk in chunks_of(database))
    seconds = sum(chunk["duration"] for chunk in chunks_of(database))
    assert seconds == pytest.approx(ingested.recording.duration)


def test_channels_of_which_one_is_the_inverse_hold_the_same_sound(
    database: Database, tmp_path: Path
) -> None:
    path = write_wav(tmp_path / "memo.wav", babble(6), -babble(6))
    assert ingest(database, path, SPLIT).warnings
    assert np.abs(heard_on(database)).max() > 1000


def test_what_is_lost_of_a_file_is_said_once(database: Database, tmp_path: Path) -> None:
    whole = write_wav(tmp_path / "call.wav", babble(10), babble(10, seed=1)).read_bytes()
    (tmp_path / "call.wav").write_bytes(whole[: len(whole) * 7 // 10])
    ingested = ingest(database, tmp_path / "call.wav", SPLIT)
    [warning] = ingested.warnings
    assert "truncated" in warning
    seconds = [sum(c["duration"] for c in chunks_of(database, channel)) for channel in (1, 2)]
    assert seconds == pytest.approx([ingested.recording.duration] * 2)
    assert 6.0 < seconds[0] < 8.0


def test_a_recording_that_is_there_with_its_channels_mixed_is_named(
    database: Database, call: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ingest(database, call, IngestOptions(chunk_seconds=4))
    assert ingest(database, call, SPLIT).status == "already there"
    assert "with its channels mixed" in caplog.text


def test_more_channels_than_anybody_speaks_on_are_refused(
    database: Database, tmp_path: Path
) -> None:
    path = write_wav(tmp_path / "organ.wav", *[babble(1)] * (MAX_CHANNELS + 1))
    with pytest.raises(RecordingError, match="33 channels"):
        ingest(database, path, SPLIT)
    assert database.recordings.count_documents({}) == 0
