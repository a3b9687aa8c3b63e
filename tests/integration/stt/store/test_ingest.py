"""Ingest against a real server: what it stores, and what it leaves behind when it is stopped."""

import hashlib
import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stt.domain.chunk import Chunk
from stt.domain.claim import Order
from stt.errors import DatabaseUnavailable, RecordingError
from stt.media.audio import SAMPLE_RATE, decode
from stt.media.folders import find_recordings
from stt.media.recording_path import RecordingPath
from stt.store import chunk_audio
from stt.store.claims import MongoClaims
from stt.store.database import Database, Document
from stt.store.ingest import Ingested, ingest
from stt.store.ingest_options import IngestOptions
from stt.store.recordings import MongoRecordings
from tests.support.recordings import babble, best_lag, write_recording, write_wav

FOUR_SECONDS = IngestOptions(chunk_seconds=4)
STRICT = replace(FOUR_SECONDS, strict=True)
TWO_TRACKS = Path(__file__).parents[3] / "data" / "two-tracks-second-default.mkv"


class PowerCut(BaseException):
    """Ends a run midway, as a signal would."""


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """A minute of words: between 15 and 25 chunks of up to four seconds."""
    return write_wav(tmp_path / "talk.wav", babble(60))


def chunks_of(database: Database) -> list[Document]:
    return list(database.chunks.find().sort("index"))


def heard_in(database: Database) -> list[np.ndarray[Any, np.dtype[np.int16]]]:
    return [
        decode(database.audio.find_one({"_id": chunk["_id"]})["data"])  # type: ignore[index]
        for chunk in chunks_of(database)
    ]


def is_empty(database: Database) -> bool:
    collections = (database.recordings, database.chunks, database.audio)
    return not any(collection.find_one() for collection in collections)


def stop_after(seconds: float, error: BaseException) -> Callable[[float, float | None], None]:
    """A progress callback that ends the run once so much is stored."""

    def progress(done_seconds: float, _total_seconds: float | None) -> None:
        if done_seconds >= seconds:
            raise error

    return progress


def assert_whole(database: Database, seconds: float) -> None:
    """The chunks hold every sample once, in order, each with its own audio and no other's."""
    chunks = chunks_of(database)
    assert [chunk["index"] for chunk in chunks] == list(range(len(chunks)))
    ends = itertools.accumulate(chunk["duration"] for chunk in chunks)
    assert [c["offset"] + c["duration"] for c in chunks] == pytest.approx(list(ends))
    assert sum(chunk["duration"] for chunk in chunks) == pytest.approx(seconds)
    for chunk, heard in zip(chunks, heard_in(database), strict=True):
        assert len(heard) == round(chunk["duration"] * SAMPLE_RATE)
    assert database.audio.count_documents({}) == len(chunks)


class TestWhatIsStored:
    def test_the_chunks_hold_every_sample_exactly_once(
        self, database: Database, talk: Path
    ) -> None:
        result = ingest(database, talk, FOUR_SECONDS)
        assert result.status == "ingested"
        assert result.chunks == len(chunks_of(database)) >= 15
        assert_whole(database, 60.0)
        heard = np.concatenate(heard_in(database))
        for second in (0, 20, 40, 57):
            part = slice(second * SAMPLE_RATE, (second + 3) * SAMPLE_RATE)
            assert best_lag(heard[part], babble(60)[part]) == 0

    def test_cuts_fall_into_the_pauses_between_words(self, database: Database, talk: Path) -> None:
        ingest(database, talk, FOUR_SECONDS)
        assert all(chunk["offset"] % 1.0 > 0.7 for chunk in chunks_of(database)[1:])

    def test_a_source_is_as_the_data_model_says(self, database: Database, talk: Path) -> None:
        options = IngestOptions("de", "Numbers and letters.", 7, 4, "large-v3", "A, B", "translate")
        before = database.server_time() - timedelta(seconds=1)
        result = ingest(database, talk, options)
        document = database.recordings.find_one()
        assert document is not None
        assert before <= document.pop("created_at") <= document.pop("ingested_at")
        start = document.pop("start")
        assert abs(start.timestamp() - talk.stat().st_mtime) < 0.001
        assert document == {
            "_id": result.recording.id,
            "filename": "talk.wav",
            "path": "talk.wav",
            "folder": talk.parent.name,
            "sha256": hashlib.sha256(talk.read_bytes()).hexdigest(),
            "bytes": talk.stat().st_size,
            "duration": 60.0,
            "chunk_count": result.chunks,
            "chunk_seconds": 4,
            "channels": "mix",
            "language": "de",
            "prompt": "Numbers and letters.",
            "model": "large-v3",
            "hotwords": "A, B",
            "task": "translate",
            "priority": 7,
        }
        assert result.recording == MongoRecordings(database).find("talk.wav")

    def test_it_has_its_path_below_the_folder_that_was_given_in_one_form_of_unicode(
        self, database: Database, tmp_path: Path
    ) -> None:
        path = tmp_path / "talks" / "U\u0308bung" / "cafe\u0301.wav"
        path.parent.mkdir(parents=True)
        [found] = find_recordings([write_wav(path, babble(1)).parents[1]])
        recording = ingest(database, found.path, IngestOptions(), place=found.place).recording
        assert (recording.folder, recording.path) == ("talks", "\u00dcbung/caf\u00e9.wav")
        assert recording.filename == "caf\u00e9.wav"
        again = ingest(database, path, IngestOptions())
        assert (again.status, again.recording) == ("already there", recording)
        assert again.place == RecordingPath("caf\u00e9.wav", "\u00dcbung")

    def test_a_chunk_is_as_the_data_model_says(self, database: Database, tmp_path: Path) -> None:
        tags = {"creation_time": "2024-05-06T07:08:09Z"}
        path = write_recording(tmp_path / "talk.m4a", 6.0, tags=tags)
        recording = ingest(database, path, IngestOptions(priority=3, chunk_seconds=4)).recording
        chunk = chunks_of(database)[1]
        assert isinstance(chunk.pop("_id"), type(recording.id))
        offset, duration = chunk.pop("offset"), chunk.pop("duration")
        assert 2.4 <= offset <= 4
        assert offset + duration == pytest.approx(6, abs=0.05)
        recorded_at = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
        assert (chunk.pop("start") - recorded_at).total_seconds() == pytest.approx(offset, abs=0.01)
        assert chunk == {
            "original_id": recording.id,
            "index": 1,
            "format": "opus",
            "priority": 3,
            "processing_by": None,
            "claimed_at": None,
            "claim_id": None,
            "attempts": 0,
            "expirations": 0,
            "not_before": None,
            "transcribed_at": None,
            "transcript": None,
            "failed_at": None,
            "errors": [],
        }

    def test_a_worker_can_claim_what_was_ingested(
        self, database: Database, alice: MongoClaims, talk: Path
    ) -> None:
        ingest(database, talk, FOUR_SECONDS)
        first = alice.page(10, Order()).chunks[0]
        assert first.index == 0
        assert alice.claim(first) is not None
        assert decode(MongoRecordings(database).audio(first)).size > 2 * SAMPLE_RATE

    def test_progress_runs_up_to_the_whole_length(self, database: Database, talk: Path) -> None:
        seen: list[tuple[float, float | None]] = []
        ingest(database, talk, FOUR_SECONDS, lambda *step: seen.append(step))
        assert seen[0] == (0.0, 60.0)
        assert seen[-1] == (60.0, 60.0)
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        assert len(seen) > 4


class TestBesideTheWorkers:
    def test_the_first_chunk_can_be_claimed_while_the_rest_is_cut(
        self, database: Database, alice: MongoClaims, talk: Path
    ) -> None:
        claimed: list[Chunk] = []

        def claim_one(done_seconds: float, _total_seconds: float | None) -> None:
            if done_seconds and not claimed:
                (chunk,) = alice.page(10, Order()).chunks
                assert alice.claim(chunk) is not None
                claimed.append(chunk)

        ingest(database, talk, FOUR_SECONDS, claim_one)
        assert [chunk.index for chunk in claimed] == [0]
        assert chunks_of(database)[0]["processing_by"] == "alice_1"

    def test_no_chunk_is_ever_there_before_its_audio(
        self, database: Database, talk: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write = chunk_audio.write_unless_there

        def watched(collection: Any, operations: Sequence[Any]) -> None:
            write(collection, operations)
            for chunk in database.chunks.find({}, ["_id"]):
                assert database.audio.find_one({"_id": chunk["_id"]}) is not None

        monkeypatch.setattr(chunk_audio, "write_unless_there", watched)
        assert ingest(database, talk, FOUR_SECONDS).status == "ingested"


class TestTheSameFileAgain:
    def test_it_is_found_and_not_doubled(self, database: Database, talk: Path) -> None:
        first = ingest(database, talk, FOUR_SECONDS)
        copy = talk.with_name("copy.wav")
        copy.write_bytes(talk.read_bytes())
        again = ingest(database, copy, IngestOptions(chunk_seconds=10))
        assert again == Ingested(first.recording, first.chunks, "already there")
        assert database.recordings.count_documents({}) == 1
        assert_whole(database, 60.0)

    def test_two_at_the_same_moment_make_one_source(self, database: Database, talk: Path) -> None:
        together = threading.Barrier(2)
        results: list[Ingested] = []

        def run() -> None:
            together.wait()
            results.append(ingest(database, talk, FOUR_SECONDS))

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({result.recording.id for result in results}) == 1
        assert [result.chunks for result in results] == [len(chunks_of(database))] * 2
        assert_whole(database, 60.0)


class TestBrokenOff:
    @pytest.mark.parametrize(
        "error", [PowerCut(), KeyboardInterrupt(), DatabaseUnavailable("gone")], ids=repr
    )
    def test_the_next_run_takes_it_up(
        self, database: Database, talk: Path, error: BaseException
    ) -> None:
        with pytest.raises(type(error)):
            ingest(database, talk, FOUR_SECONDS, stop_after(20, error))
        begun = chunks_of(database)
        assert begun
        assert database.recordings.find_one({"ingested_at": None}) is not None
        # The length of the chunks is the source's, whatever is asked for now.
        result = ingest(database, talk, IngestOptions(chunk_seconds=10))
        assert result.status == "resumed"
        assert chunks_of(database)[: len(begun)] == begun
        assert max(chunk["duration"] for chunk in chunks_of(database)) <= 4
        assert_whole(database, 60.0)

    def test_a_run_that_was_stopped_cuts_as_one_that_was_not(
        self, database: Database, talk: Path
    ) -> None:
        ingest(database, talk, FOUR_SECONDS)
        fields = ("index", "offset", "duration")
        whole = [[chunk[f] for f in fields] for chunk in chunks_of(database)]
        for collection in (database.recordings, database.chunks, database.audio):
            collection.delete_many({})
        for seconds in (4, 30):
            with pytest.raises(PowerCut):
                ingest(database, talk, FOUR_SECONDS, stop_after(seconds, PowerCut()))
        ingest(database, talk, FOUR_SECONDS)
        assert [[chunk[f] for f in fields] for chunk in chunks_of(database)] == whole

    def test_audio_without_its_chunk_is_written_anew(
        self, database: Database, talk: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The power went between the two writes."""
        write = chunk_audio.write_unless_there

        def cut_power(collection: Any, operations: Sequence[Any]) -> None:
            if collection.name == "audio_chunks" and chunks_of(database):
                raise PowerCut
            write(collection, operations)

        with monkeypatch.context() as patch:
            patch.setattr(chunk_audio, "write_unless_there", cut_power)
            with pytest.raises(PowerCut):
                ingest(database, talk, FOUR_SECONDS)
        assert database.audio.count_documents({}) > len(chunks_of(database)) == 1
        assert ingest(database, talk, FOUR_SECONDS).status == "resumed"
        assert_whole(database, 60.0)

    def test_transcripts_that_are_there_already_are_kept(
        self, database: Database, talk: Path
    ) -> None:
        with pytest.raises(PowerCut):
            ingest(database, talk, FOUR_SECONDS, stop_after(20, PowerCut()))
        database.chunks.update_one({"index": 0}, {"$set": {"transcript": {"language": "en"}}})
        ingest(database, talk, FOUR_SECONDS)
        assert chunks_of(database)[0]["transcript"] == {"language": "en"}


class TestLosses:
    def test_of_a_truncated_file_what_is_there_is_stored_with_a_warning(
        self, database: Database, talk: Path
    ) -> None:
        data = talk.read_bytes()
        talk.write_bytes(data[: len(data) // 2])
        done = ingest(database, talk, FOUR_SECONDS)
        assert_whole(database, (len(data) // 2 - 44) // 2 / SAMPLE_RATE)
        (warning,) = done.warnings
        assert warning.startswith("truncated: it breaks off after 0:00:30.0; about 30.0 s")
        document = database.recordings.find_one()
        assert document is not None
        assert document["warnings"] == [warning]
        assert MongoRecordings(database).details(done.recording.id).warnings == (warning,)

    def test_the_warning_is_there_again_when_the_file_is_found_in_the_queue(
        self, database: Database, talk: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        talk.write_bytes(talk.read_bytes()[:100_000])
        first = ingest(database, talk, FOUR_SECONDS)
        again = ingest(database, talk, FOUR_SECONDS)
        assert (again.status, again.warnings) == ("already there", first.warnings)
        assert caplog.text.count(f"{talk}: {first.warnings[0]}") == 2

    def test_of_split_channels_each_loss_is_said_once(
        self, database: Database, tmp_path: Path
    ) -> None:
        path = write_recording(tmp_path / "call.wav", 6.0)
        path.write_bytes(path.read_bytes()[:300_000])
        done = ingest(database, path, replace(FOUR_SECONDS, channels="split"))
        assert len([line for line in done.warnings if "truncated" in line]) == 1
        database.recordings.delete_many({})
        with pytest.raises(RecordingError, match="truncated"):
            ingest(database, path, replace(STRICT, channels="split"))


class TestTracks:
    def test_the_default_one_is_stored_by_its_number(self, database: Database) -> None:
        done = ingest(database, TWO_TRACKS, FOUR_SECONDS)
        details = MongoRecordings(database).details(done.recording.id)
        assert details.track == 2
        assert details.warnings == ("audio track 2 of 2 was taken",) == done.warnings
        assert np.abs(np.concatenate(heard_in(database))).max() > 3_000

    def test_another_one_is_taken_if_it_is_asked_for(self, database: Database) -> None:
        done = ingest(database, TWO_TRACKS, replace(FOUR_SECONDS, track=1))
        assert done.warnings == ("audio track 1 of 2 was taken",)
        assert np.abs(np.concatenate(heard_in(database))).max() < 100

    def test_one_that_is_not_there_leaves_nothing(self, database: Database) -> None:
        with pytest.raises(RecordingError, match="no track 9: it has 2 audio tracks"):
            ingest(database, TWO_TRACKS, replace(FOUR_SECONDS, track=9))
        assert is_empty(database)

    def test_what_is_in_the_queue_keeps_its_track_with_a_word(
        self, database: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        ingest(database, TWO_TRACKS, FOUR_SECONDS)
        assert (
            ingest(database, TWO_TRACKS, replace(FOUR_SECONDS, track=1)).status == "already there"
        )
        assert (
            "with audio track 2: to take another, use `stt transcribe FILE --track 1`"
            in caplog.text
        )

    def test_an_interrupted_ingest_is_continued_with_the_track_that_it_began_with(
        self, database: Database
    ) -> None:
        short = replace(FOUR_SECONDS, chunk_seconds=1)
        with pytest.raises(PowerCut):
            ingest(database, TWO_TRACKS, replace(short, track=1), stop_after(0.5, PowerCut()))
        assert ingest(database, TWO_TRACKS, short).status == "resumed"
        assert np.abs(np.concatenate(heard_in(database))).max() < 100


class TestBadFiles:
    def test_a_file_that_turns_out_bad_midway_leaves_nothing(
        self, database: Database, talk: Path
    ) -> None:
        data = talk.read_bytes()
        talk.write_bytes(data[: len(data) // 2])
        stored: list[float] = []
        with pytest.raises(RecordingError, match=r"talk\.wav: truncated"):
            ingest(database, talk, STRICT, lambda done, _total: stored.append(done))
        assert max(stored) > 10
        assert is_empty(database)

    def test_it_takes_with_it_what_an_earlier_run_had_stored(
        self, database: Database, talk: Path
    ) -> None:
        data = talk.read_bytes()
        talk.write_bytes(data[: len(data) // 2])
        with pytest.raises(PowerCut):
            ingest(database, talk, STRICT, stop_after(10, PowerCut()))
        assert not is_empty(database)
        with pytest.raises(RecordingError):
            ingest(database, talk, STRICT)
        assert is_empty(database)

    def test_a_file_that_is_written_to_while_it_is_read_leaves_nothing(
        self, database: Database, talk: Path
    ) -> None:
        def append(done_seconds: float, _total_seconds: float | None) -> None:
            if done_seconds > 0:
                with talk.open("ab") as file:
                    file.write(bytes(1_000))

        with pytest.raises(RecordingError, match="it was changed while it was read"):
            ingest(database, talk, FOUR_SECONDS, append)
        assert is_empty(database)

    def test_a_file_that_vanishes_while_it_is_read_is_ingested(
        self, database: Database, talk: Path
    ) -> None:
        def remove(done_seconds: float, _total_seconds: float | None) -> None:
            if done_seconds > 0:
                talk.unlink(missing_ok=True)

        assert ingest(database, talk, FOUR_SECONDS, remove).status == "ingested"
        assert_whole(database, 60.0)

    def test_other_sources_are_left_alone(self, database: Database, talk: Path) -> None:
        ingest(database, talk, FOUR_SECONDS)
        bad = talk.with_name("bad.wav")
        bad.write_bytes(write_wav(bad, babble(20, seed=1)).read_bytes()[:400_000])
        with pytest.raises(RecordingError):
            ingest(database, bad, STRICT)
        assert database.recordings.count_documents({}) == 1
        assert_whole(database, 60.0)

    @pytest.mark.parametrize("content", [b"", b"no recording " * 99], ids=["empty", "text"])
    def test_what_is_no_recording_never_reaches_the_queue(
        self, database: Database, tmp_path: Path, content: bytes
    ) -> None:
        (tmp_path / "talk.mp3").write_bytes(content)
        with pytest.raises(RecordingError):
            ingest(database, tmp_path / "talk.mp3", FOUR_SECONDS)
        assert is_empty(database)

    def test_a_source_that_is_removed_meanwhile_leaves_nothing(
        self, database: Database, talk: Path
    ) -> None:
        def remove(done_seconds: float, _total_seconds: float | None) -> None:
            if done_seconds > 30:
                database.recordings.delete_many({})

        with pytest.raises(RecordingError, match="removed from the queue"):
            ingest(database, talk, FOUR_SECONDS, remove)
        assert is_empty(database)
