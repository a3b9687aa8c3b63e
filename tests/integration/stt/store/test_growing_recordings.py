"""What workers learn of a recording that is being cut."""

from datetime import UTC, datetime

from stt.domain.chunk import Chunk
from stt.domain.claim import Order
from stt.media.audio import SAMPLE_RATE
from stt.store.chunk_writer import ChunkWriter, Piece
from stt.store.claims import MongoClaims
from stt.store.database import Database, Document
from stt.store.growing_recordings import UNKNOWN_CHUNKS, expected_chunks, note
from tests.support.queue_builder import START, add_chunks, add_recording

ALL = Order()


def chunks_of(database: Database, recording_id: object) -> list[Chunk]:
    return [Chunk(recording_id, recording_id, 0)]  # type: ignore[arg-type]


def test_a_note_says_how_many_chunks_there_will_be_until_it_is_old(database: Database) -> None:
    id_ = add_recording(database, ingested_at=None)
    assert expected_chunks(database, chunks_of(database, id_)) == {}
    note(database, id_, 7)
    assert expected_chunks(database, chunks_of(database, id_)) == {id_: 7}
    note(database, id_, None)
    assert expected_chunks(database, chunks_of(database, id_)) == {id_: UNKNOWN_CHUNKS}
    old = datetime(2020, 1, 1, tzinfo=UTC)  # the one who cut it was killed
    database.recordings.update_one({"_id": id_}, {"$set": {"cutting.at": old}})
    assert expected_chunks(database, chunks_of(database, id_)) == {}


def test_documents_of_other_programs_are_not_growing(database: Database) -> None:
    whole = add_recording(database, ingested_at=datetime.now(UTC), cutting={"at": "today"})
    odd = add_recording(database, ingested_at=None, cutting="now")
    for id_ in (whole, odd):
        assert expected_chunks(database, chunks_of(database, id_)) == {}
    assert expected_chunks(database, [Chunk(odd, None, 0)]) == {}


def test_the_writer_notes_its_length_by_the_file_and_that_it_has_ended(
    database: Database, alice: MongoClaims
) -> None:
    def piece(index: int) -> Piece:
        return Piece(index, index * 2 * SAMPLE_RATE, 2 * SAMPLE_RATE, b"audio")

    id_ = add_recording(
        database, start=START, priority=0, chunk_seconds=2.0, ingested_at=None, filename="talk.mp3"
    )
    document: Document = database.recordings.find_one({"_id": id_}) or {}
    writer = ChunkWriter(database, document)
    writer.declared_seconds = 20.0
    writer.add([piece(0)])
    assert alice.page(10, ALL).growing == {id_: 10}
    writer.begin_channel(1, 3)
    writer.add([piece(1), piece(2)])
    assert alice.page(10, ALL).growing == {id_: 3 + 7 + 20}
    writer.finish()
    assert alice.page(10, ALL).growing == {}
    assert "cutting" not in (database.recordings.find_one({"_id": id_}) or {})
    add_chunks(database, 1)
    assert len(alice.page(10, ALL).chunks) == 4
