"""Recordings and audio, read from a real database."""

from typing import Any

import pytest
from bson import ObjectId

from stt.domain.chunk import Chunk
from stt.errors import BadAudio, NotFound
from stt.store.database import Database
from stt.store.recordings import Sources
from tests.support.queue_builder import add_chunks, add_source, chunk


def test_a_source_is_found_by_its_id_and_by_its_file_name(database: Database) -> None:
    source_id = add_source(database, filename="talk.mp3", duration=60.0, language="en")
    add_source(database, filename="other.mp3")
    sources = Sources(database)
    assert sources.find("talk.mp3") == sources.find(str(source_id))
    assert (sources.find("talk.mp3").id, sources.find("talk.mp3").language) == (source_id, "en")


def test_a_file_whose_name_looks_like_an_id_is_found(database: Database) -> None:
    name = str(ObjectId())
    source_id = add_source(database, filename=name)
    assert Sources(database).find(name).id == source_id


def test_an_unknown_name_is_said_so(database: Database) -> None:
    with pytest.raises(NotFound, match=r"No source is called 'nothing\.mp3'"):
        Sources(database).find("nothing.mp3")


def test_a_name_of_several_sources_lists_their_ids(database: Database) -> None:
    ids = [add_source(database, filename="talk.mp3") for _ in range(2)]
    with pytest.raises(NotFound) as caught:
        Sources(database).find("talk.mp3")
    assert all(str(id_) in str(caught.value) for id_ in ids)


def test_all_sources_come_oldest_first(database: Database) -> None:
    ids = [add_source(database) for _ in range(3)]
    assert [source.id for source in Sources(database).all()] == ids


def test_a_chunk_knows_its_source_unless_nobody_described_it(database: Database) -> None:
    source_id = add_source(database, filename="talk.mp3")
    [chunk_id] = add_chunks(database, 1, source_id=source_id)
    sources = Sources(database)
    known = sources.of(chunk(database, chunk_id))
    assert known is not None
    assert known.filename == "talk.mp3"
    assert sources.of(Chunk(ObjectId(), ObjectId(), 0)) is None
    assert sources.of(Chunk(ObjectId(), None, 0)) is None


class TestAudio:
    def test_it_is_read_from_beside_the_chunk(self, database: Database) -> None:
        [chunk_id] = add_chunks(database, 1, audio=b"opus", data=b"inline")
        assert Sources(database).audio(chunk(database, chunk_id)) == b"opus"

    def test_it_is_read_from_the_chunk_itself_where_another_program_put_it(
        self, database: Database
    ) -> None:
        [chunk_id] = add_chunks(database, 1, data=b"inline")
        assert Sources(database).audio(chunk(database, chunk_id)) == b"inline"

    @pytest.mark.parametrize("fields", [{}, {"data": b""}, {"data": "text"}, {"data": None}])
    def test_a_chunk_without_any_is_bad_audio(
        self, database: Database, fields: dict[str, Any]
    ) -> None:
        [chunk_id] = add_chunks(database, 1, **fields)
        with pytest.raises(BadAudio, match="has no audio"):
            Sources(database).audio(chunk(database, chunk_id))
