"""The recordings of claimed chunks at the database."""

from stt.domain.claim import Claims
from stt.store.claimed_recordings import ClaimedRecordings
from stt.store.database import Database
from stt.store.recordings import MongoRecordings
from tests.support.queue_builder import add_chunks, add_recording, chunk, claimed


def test_a_claim_leads_to_its_recording_its_audio_and_what_is_beside_it(
    database: Database, alice: Claims
) -> None:
    recording_id = add_recording(database, language="German")
    ids = add_chunks(database, 2, recording_id=recording_id, audio=b"opus")
    recordings = ClaimedRecordings(MongoRecordings(database))
    claim = claimed(alice, chunk(database, ids[0]))
    recording = recordings.of(claim)
    assert recording is not None
    assert recording.id == recording_id
    assert recordings.audio(claim) == b"opus"
    assert recordings.neighbour_audio(claim, 1) == b"opus"
    assert recordings.neighbour_audio(claim, -1) is None
