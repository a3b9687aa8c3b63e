"""Recordings that are cut anew for other channels or another track, and their earlier text."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bson import ObjectId

from stt.domain.transcript import Segment, Transcript
from stt.errors import ClaimLost, RecordingError
from stt.media.audio import SAMPLE_RATE
from stt.store.claims import MongoClaims
from stt.store.database import Database
from stt.store.edits import edit_segment
from stt.store.ingest import ingest
from stt.store.ingest_options import IngestOptions
from stt.store.recordings import MongoRecordings
from stt.store.recutting import remove_earlier, set_aside
from tests.support.queue_builder import chunk, claimed
from tests.support.recordings import babble, write_wav

MIX = IngestOptions(chunk_seconds=4, language="de", priority=3)
SPLIT = IngestOptions(channels="split")
CHANNELS = frozenset({"channels"})
TWO_TRACKS = Path(__file__).parents[3] / "data" / "two-tracks-second-default.mkv"


@pytest.fixture
def call(tmp_path: Path) -> Path:
    right = np.roll(babble(8, seed=1), SAMPLE_RATE // 2)
    return write_wav(tmp_path / "call.wav", babble(8), right)


def transcribe(database: Database, claims: MongoClaims, recording_id: ObjectId) -> None:
    for document in list(database.chunks.find({"original_id": recording_id}, ["_id"])):
        claim = claimed(claims, chunk(database, document["_id"]))
        claims.complete(claim, Transcript((Segment(0.0, 1.0, "good morning"),)))


def test_the_earlier_text_stays_until_the_new_one_is_whole(
    database: Database, alice: MongoClaims, call: Path
) -> None:
    old = ingest(database, call, MIX).recording
    transcribe(database, alice, old.id)
    anew = ingest(database, call, SPLIT, cut_anew=CHANNELS)
    new = anew.recording
    assert (anew.status, new.channels) == ("ingested", "split")
    assert new.id != old.id
    assert MongoRecordings(database).details(old.id).counts.transcribed > 0
    assert remove_earlier(database, new.id) == [old.id]
    transcribe(database, alice, new.id)
    assert remove_earlier(database, new.id) == []
    assert [d["_id"] for d in database.recordings.find()] == [new.id]
    assert database.chunks.count_documents({"original_id": old.id}) == 0
    again = ingest(database, call, SPLIT, cut_anew=CHANNELS)
    assert (again.status, again.recording.id) == ("already there", new.id)


def test_options_that_were_not_given_are_those_of_the_earlier_recording(
    database: Database, call: Path
) -> None:
    ingest(database, call, MIX)
    given = CHANNELS | {"prompt"}
    new = ingest(database, call, replace(SPLIT, prompt="Hi"), cut_anew=given).recording
    assert (new.language, new.prompt) == ("de", "Hi")
    stored = database.recordings.find_one({"_id": new.id}) or {}
    assert (stored["priority"], stored["chunk_seconds"]) == (3, 4)


def test_an_earlier_recording_whose_text_was_edited_stays(
    database: Database, alice: MongoClaims, call: Path
) -> None:
    old = ingest(database, call, MIX).recording
    transcribe(database, alice, old.id)
    chunk_id = (database.chunks.find_one({"original_id": old.id}) or {})["_id"]
    edit_segment(database, chunk_id, 0, "Hello", before="good morning")
    new = ingest(database, call, SPLIT, cut_anew=CHANNELS).recording
    transcribe(database, alice, new.id)
    assert remove_earlier(database, new.id) == [old.id]
    edit_segment(database, chunk_id, 0, "good morning", before="Hello")
    assert remove_earlier(database, new.id) == []
    assert [d["_id"] for d in database.recordings.find()] == [new.id]


@pytest.mark.parametrize("given", [frozenset(), frozenset({"language"})])
def test_without_the_option_nothing_is_cut_anew(
    database: Database, call: Path, given: frozenset[str]
) -> None:
    old = ingest(database, call, SPLIT).recording
    assert ingest(database, call, MIX, cut_anew=given).status == "already there"
    assert [d["_id"] for d in database.recordings.find()] == [old.id]


@pytest.mark.parametrize("channels", [1, 2])
def test_where_there_is_nothing_to_split_the_stored_text_is_kept_with_a_warning(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture, channels: int
) -> None:
    file = write_wav(tmp_path / "mono.wav", *[babble(8)] * channels)
    old = ingest(database, file, MIX).recording
    for given in (CHANNELS, frozenset[str]()):  # `stt transcribe`, `stt ingest`
        caplog.clear()
        kept = ingest(database, file, SPLIT, cut_anew=given)
        assert (kept.status, kept.recording.id) == ("already there", old.id)
        [warning] = caplog.messages
        assert warning.startswith(f"{file}: ")
        assert warning.endswith(": there is nothing to split")
    assert database.recordings.count_documents({}) == 1


def test_what_was_to_be_split_and_could_not_be_is_mixed_already(
    database: Database, tmp_path: Path
) -> None:
    mono = write_wav(tmp_path / "mono.wav", babble(8))
    old = ingest(database, mono, SPLIT).recording
    kept = ingest(database, mono, MIX, cut_anew=CHANNELS)
    assert (kept.status, kept.recording.id) == ("already there", old.id)


def test_another_track_is_taken(database: Database) -> None:
    old = ingest(database, TWO_TRACKS, MIX).recording
    track = frozenset({"track"})
    new = ingest(database, TWO_TRACKS, replace(MIX, track=1), cut_anew=track)
    assert new.recording.id != old.id
    assert new.warnings == ("audio track 1 of 2 was taken",)
    kept = ingest(database, TWO_TRACKS, replace(SPLIT, channels="split"), cut_anew=CHANNELS)
    assert kept.warnings[0] == "audio track 1 of 2 was taken"  # as it was before


def test_a_file_that_cannot_be_cut_anew_leaves_the_earlier_recording_as_it_was(
    database: Database, call: Path
) -> None:
    def fail(_done: float, _total: float | None) -> None:
        raise RecordingError("cancelled")

    old = ingest(database, call, MIX).recording
    before = database.recordings.find_one({"_id": old.id})
    with pytest.raises(RecordingError):
        ingest(database, call, SPLIT, fail, cut_anew=CHANNELS)
    assert list(database.recordings.find()) == [before]


def test_of_several_earlier_recordings_the_last_one_is_put_back(
    database: Database, alice: MongoClaims, call: Path
) -> None:
    def fail(_done: float, _total: float | None) -> None:
        raise RecordingError("cancelled")

    transcribe(database, alice, ingest(database, call, MIX).recording.id)
    last = ingest(database, call, SPLIT, cut_anew=CHANNELS).recording
    with pytest.raises(RecordingError):
        ingest(database, call, MIX, fail, cut_anew=CHANNELS)
    [stored] = database.recordings.find({"sha256": {"$exists": True}})
    assert stored["_id"] == last.id


def test_a_cut_that_was_interrupted_goes_on_and_the_earlier_text_stays(
    database: Database, alice: MongoClaims, call: Path
) -> None:
    def stop(_done: float, _total: float | None) -> None:
        raise KeyboardInterrupt

    old = ingest(database, call, MIX).recording
    transcribe(database, alice, old.id)
    with pytest.raises(KeyboardInterrupt):
        ingest(database, call, SPLIT, stop, cut_anew=CHANNELS)
    new = ingest(database, call, SPLIT, cut_anew=CHANNELS)
    assert (new.status, new.recording.channels) == ("resumed", "split")
    assert remove_earlier(database, new.recording.id) == [old.id]
    transcribe(database, alice, new.recording.id)
    assert remove_earlier(database, new.recording.id) == []
    assert database.recordings.count_documents({}) == 1


def test_what_has_no_text_yet_is_transcribed_in_the_new_cut_alone(
    database: Database, alice: MongoClaims, call: Path
) -> None:
    old = ingest(database, call, MIX).recording
    first, *rest = database.chunks.find({"original_id": old.id}, ["_id"]).sort("index")
    done, lost = (claimed(alice, chunk(database, one["_id"])) for one in (first, rest[0]))
    alice.complete(done, Transcript((Segment(0.0, 1.0, "good morning"),)))
    new = ingest(database, call, SPLIT, cut_anew=CHANNELS).recording
    assert [d["_id"] for d in database.chunks.find({"original_id": old.id})] == [first["_id"]]
    assert database.chunks.count_documents({"original_id": new.id}) == 2 * (1 + len(rest))
    assert database.audio.count_documents({"_id": rest[0]["_id"]}) == 0
    with pytest.raises(ClaimLost):
        alice.complete(lost, Transcript())


def test_an_earlier_recording_without_any_text_is_not_kept(database: Database, call: Path) -> None:
    ingest(database, call, MIX)
    new = ingest(database, call, SPLIT, cut_anew=CHANNELS).recording
    assert [d["_id"] for d in database.recordings.find()] == [new.id]


def test_a_process_that_ends_between_two_recordings_loses_no_options(
    database: Database, call: Path
) -> None:
    old = ingest(database, call, MIX).recording
    set_aside(database, database.recordings.find_one({"_id": old.id}) or {})
    new = ingest(database, call, SPLIT, cut_anew=CHANNELS).recording
    assert (new.language, new.channels) == ("de", "split")


def test_earlier_recordings_are_found_by_an_index(database: Database) -> None:
    plan = database.recordings.find({"earlier_of": "0" * 64}, ["_id"]).explain()
    assert "earlier_of_file" in str(plan["queryPlanner"])
