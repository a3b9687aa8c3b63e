"""Speakers of recordings, from those of chunks: embeddings are directions at known angles."""

import base64
import math
import threading
from typing import Any

import numpy as np
import pytest
from bson import ObjectId

from stt.domain.chunk import Recording
from stt.domain.claim import ClaimRules
from stt.domain.transcript import LocalSpeaker, Segment, Transcript
from stt.errors import EditConflict, NotFound
from stt.store.claims import MongoClaims
from stt.store.database import Database
from stt.store.documents import read_recording, write_transcript
from stt.store.recording_speakers import is_current, merge, read, rename
from stt.store.removal import remove_recording
from tests.support.commands_sent import CommandsSent
from tests.support.queue_builder import add_chunks, add_recording, chunk

ADA, BOB, CY = 0.0, 90.0, 180.0


def local(id_: str, degrees: float, seconds: float = 10.0) -> LocalSpeaker:
    angle = math.radians(degrees)
    vector = np.array([math.cos(angle), math.sin(angle)], "<f2")
    return LocalSpeaker(id_, seconds, base64.b64encode(vector.tobytes()).decode())


def set_speakers(database: Database, chunk_id: ObjectId, *speakers: LocalSpeaker) -> None:
    transcript = Transcript((Segment(0, 1, "Hi.", speaker=speakers[0].id),), speakers=speakers)
    fields = {"transcript": write_transcript(transcript)}
    update = {"$set": fields, "$currentDate": {"transcribed_at": True}}
    database.chunks.update_one({"_id": chunk_id}, update)


def recording_of(database: Database, recording_id: ObjectId) -> Recording:
    document = database.recordings.find_one({"_id": recording_id})
    assert document is not None
    return read_recording(document)


@pytest.fixture
def talk(database: Database) -> Recording:
    """Three chunks, from three calls: Ada and Bob, Bob and Ada, Ada alone."""
    recording_id = add_recording(database, speakers=0)
    first, second, third = add_chunks(database, 3, recording_id=recording_id)
    set_speakers(database, first, local("1:A", ADA), local("1:B", BOB, 5.0))
    set_speakers(database, second, local("2:A", BOB + 3), local("2:B", ADA + 3))
    set_speakers(database, third, local("3:A", ADA - 3, 30.0))
    return recording_of(database, recording_id)


def names(database: Database, recording: Recording, *local_ids: str) -> list[str]:
    speakers = read(database, recording)
    return [one.label if (one := speakers.of(id_)) else "?" for id_ in local_ids]


def test_a_voice_is_one_speaker_in_all_calls(database: Database, talk: Recording) -> None:
    found = read(database, talk)
    assert [(one.id, one.seconds) for one in found.listed()] == [
        ("SPEAKER_01", 50.0),
        ("SPEAKER_02", 15.0),
    ]
    assert names(database, talk, "1:A", "2:B", "3:A") == ["SPEAKER_01"] * 3
    assert names(database, talk, "1:B", "2:A", "9:Z") == ["SPEAKER_02", "SPEAKER_02", "?"]


def test_it_is_made_once_and_anew_when_a_chunk_has_changed(
    database: Database, talk: Recording
) -> None:
    def version() -> int:
        read(database, talk)
        stored = database.speakers.find_one({"_id": talk.id})
        assert stored is not None
        return int(stored["version"])

    assert (version(), version()) == (1, 1)
    (document,) = database.chunks.find({"original_id": talk.id, "index": 2})
    set_speakers(database, document["_id"], local("4:A", CY))
    assert version() == 2
    assert names(database, talk, "1:A", "1:B", "4:A") == ["SPEAKER_01", "SPEAKER_02", "SPEAKER_03"]


def test_names_stay_with_their_voices(database: Database, talk: Recording) -> None:
    """The calls are made anew and find the voices in another order, under other ids."""
    rename(database, talk, "speaker_02", "Bob")
    assert names(database, talk, "1:B") == ["Bob"]
    for index, document in enumerate(database.chunks.find({"original_id": talk.id})):
        set_speakers(database, document["_id"], local(f"{index}:X", BOB), local(f"{index}:Y", CY))
    assert names(database, talk, "0:X", "2:X", "0:Y") == ["Bob", "Bob", "SPEAKER_03"]
    rename(database, talk, "Bob", None)
    assert names(database, talk, "0:X") == ["SPEAKER_02"]


def test_a_name_outlives_a_time_without_its_voice(database: Database, talk: Recording) -> None:
    rename(database, talk, "SPEAKER_02", "Bob")
    for number, document in enumerate(list(database.chunks.find({"original_id": talk.id}))):
        set_speakers(database, document["_id"], local(f"5{number}:A", ADA))
    assert [one.label for one in read(database, talk).listed()] == ["SPEAKER_01"]
    (last,) = database.chunks.find({"original_id": talk.id, "index": 2})
    set_speakers(database, last["_id"], local("6:A", BOB))
    assert names(database, talk, "6:A") == ["Bob"]


def test_merged_speakers_are_one_also_when_they_are_joined_anew(
    database: Database, talk: Recording
) -> None:
    rename(database, talk, "SPEAKER_01", "Ada")
    assert merge(database, talk, "SPEAKER_02", "ada").find("ada").seconds == 65.0
    assert [one.label for one in read(database, talk).listed()] == ["Ada"]
    (last,) = database.chunks.find({"original_id": talk.id, "index": 2})
    set_speakers(database, last["_id"], local("7:A", BOB), local("7:B", CY))
    assert names(database, talk, "7:A", "1:B", "7:B") == ["Ada", "Ada", "SPEAKER_03"]


def test_whom_one_was_merged_into_outlives_a_time_without_the_voice(
    database: Database, talk: Recording
) -> None:
    merge(database, talk, "SPEAKER_02", "SPEAKER_01")
    chunks = list(database.chunks.find({"original_id": talk.id}).sort("index"))
    for number, document in enumerate(chunks):
        set_speakers(database, document["_id"], local(f"5{number}:A", BOB))
    assert names(database, talk, "50:A", "52:A") == ["SPEAKER_01"] * 2
    set_speakers(database, chunks[2]["_id"], local("6:A", CY), local("6:B", ADA))
    assert names(database, talk, "50:A", "6:A", "6:B") == [
        "SPEAKER_01", "SPEAKER_03", "SPEAKER_01",
    ]  # fmt: skip
    assert [(one.id, one.seconds) for one in read(database, talk).listed()] == [
        ("SPEAKER_01", 30.0), ("SPEAKER_03", 10.0),
    ]  # fmt: skip


def test_a_stranger_never_gets_the_id_of_whom_one_was_merged_into(
    database: Database, talk: Recording
) -> None:
    merge(database, talk, "SPEAKER_02", "SPEAKER_01")
    gone = {"$pull": {"speakers": {"id": "SPEAKER_01"}}}
    database.speakers.update_one({"_id": talk.id}, gone)
    for number, document in enumerate(list(database.chunks.find({"original_id": talk.id}))):
        set_speakers(database, document["_id"], local(f"5{number}:A", CY))
    assert names(database, talk, "50:A") == ["SPEAKER_03"]


def test_merging_two_into_each_other_is_no_circle(database: Database, talk: Recording) -> None:
    merge(database, talk, "SPEAKER_02", "SPEAKER_01")
    database.speakers.update_one(
        {"_id": talk.id, "speakers.id": "SPEAKER_01"}, {"$set": {"speakers.$.into": "SPEAKER_02"}}
    )
    assert len(read(database, talk).listed()) == 1
    assert len(merge(database, talk, "SPEAKER_01", "SPEAKER_01").listed()) == 1


def test_an_unknown_speaker_is_named_with_those_that_there_are(
    database: Database, talk: Recording
) -> None:
    with pytest.raises(NotFound, match=r"no speaker Eve.*SPEAKER_01, SPEAKER_02"):
        rename(database, talk, "Eve", "x")


def test_a_known_number_of_speakers_decides(database: Database, talk: Recording) -> None:
    database.recordings.update_one({"_id": talk.id}, {"$set": {"speakers": 1}})
    one = recording_of(database, talk.id)
    assert len(read(database, one).listed()) == 1


@pytest.mark.parametrize(("most", "speakers"), [(1, 1), (2, 2), (9, 2)])
def test_no_more_are_found_than_there_can_be(
    database: Database, talk: Recording, most: int, speakers: int
) -> None:
    assert len(read(database, talk).listed()) == 2
    database.recordings.update_one({"_id": talk.id}, {"$set": {"max_speakers": most}})
    assert len(read(database, recording_of(database, talk.id)).listed()) == speakers


def test_who_did_not_ask_has_none_and_costs_nothing(database: Database) -> None:
    recording_id = add_recording(database)
    assert read(database, recording_of(database, recording_id)).listed() == ()
    assert database.speakers.count_documents({}) == 0


@pytest.mark.parametrize(
    "odd",
    [
        "text",
        3,
        [1, {"id": "A"}],
        [{"id": "A", "seconds": "x", "embedding": "!"}],
        [{"id": "A", "seconds": 5, "embedding": "!"}],
        [{"id": "A", "seconds": 5, "embedding": ""}],
    ],
)
def test_odd_speakers_of_another_program_count_as_none(
    database: Database, talk: Recording, odd: object
) -> None:
    (last,) = database.chunks.find({"original_id": talk.id, "index": 2})
    database.chunks.update_one({"_id": last["_id"]}, {"$set": {"transcript.speakers": odd}})
    assert len(read(database, talk).listed()) == 2
    database.speakers.update_one({"_id": talk.id}, {"$set": {"speakers": odd, "of_local": 7}})
    database.recordings.update_one({"_id": talk.id}, {"$set": {"speakers": 2}})
    assert len(read(database, recording_of(database, talk.id)).listed()) == 2


def test_many_at_once_leave_one_right_answer(database: Database, talk: Recording) -> None:
    barrier = threading.Barrier(6)

    def work(number: int) -> None:
        barrier.wait()
        if number % 2:
            rename(database, talk, "SPEAKER_02", "Bob")
        else:
            read(database, talk)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(database, talk, "1:A", "1:B") == ["SPEAKER_01", "Bob"]


def test_the_chunks_of_the_recording_are_read_by_their_index(
    mongo_url: str, database: Database, talk: Recording
) -> None:
    """An embedded database would read all chunks of all recordings for some queries."""
    sent = CommandsSent(mongo_url, database.chunks.database.name)
    with sent.database:
        read(sent.database, talk)
    [query] = [c["filter"] for c in sent.commands if c.get("find") == "audio_chunks"]
    plan = database.chunks.find(query).explain()
    assert "'indexName': 'place'" in str(plan["queryPlanner"])


def test_the_last_transcript_joins_the_speakers(database: Database) -> None:
    recording_id = add_recording(database, speakers=0, max_speakers=1)
    ids = add_chunks(database, 2, recording_id=recording_id)
    claims = MongoClaims(database, "host_1", ClaimRules())
    for number, chunk_id in enumerate(ids):
        assert database.speakers.find_one({"_id": recording_id}) is None
        claim = claims.claim(chunk(database, chunk_id))
        assert claim is not None
        speakers = (local(f"{number}:A", number * BOB),)
        claims.complete(claim, Transcript((Segment(0, 1, "Hi."),), speakers=speakers))
    stored = database.speakers.find_one({"_id": recording_id})
    assert stored is not None
    assert stored["of_local"] == {"0:A": "SPEAKER_01", "1:A": "SPEAKER_01"}


def test_a_recording_is_removed_with_its_speakers(database: Database, talk: Recording) -> None:
    read(database, talk)
    remove_recording(database, talk.id)
    assert database.speakers.count_documents({}) == 0


@pytest.mark.parametrize("after", ["speakers", "recordings", None])
def test_voices_that_are_joined_while_a_recording_is_removed_do_not_outlive_it(
    database: Database, talk: Recording, monkeypatch: pytest.MonkeyPatch, after: str | None
) -> None:
    """The reader begins before, and inserts once something of it is deleted, or all."""
    is_inserting, may_insert = threading.Event(), threading.Event()
    insert_one = database.speakers.insert_one

    def slow_insert(document: Any) -> object:
        is_inserting.set()
        assert may_insert.wait(60)
        return insert_one(document)

    monkeypatch.setattr(database.speakers, "insert_one", slow_insert)
    reader = threading.Thread(target=read, args=(database, talk))
    reader.start()
    assert is_inserting.wait(60)

    def join() -> None:
        may_insert.set()
        reader.join(60)
        assert not reader.is_alive()

    if after is not None:
        deleted_from = getattr(database, after)
        delete_one = deleted_from.delete_one

        def delete_then_join(query: object) -> None:
            delete_one(query)
            monkeypatch.setattr(deleted_from, "delete_one", delete_one)
            join()

        monkeypatch.setattr(deleted_from, "delete_one", delete_then_join)
    remove_recording(database, talk.id)
    join()
    assert database.speakers.count_documents({}) == 0


def test_a_write_is_repeated_on_what_another_wrote_meanwhile(
    database: Database, talk: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(database, talk)
    find_one = database.speakers.find_one

    def overtaken(query: object) -> object:
        found = find_one(query)
        monkeypatch.undo()
        rename(database, talk, "SPEAKER_01", "Ada")
        return found

    monkeypatch.setattr(database.speakers, "find_one", overtaken)
    rename(database, talk, "SPEAKER_02", "Bob")
    assert names(database, talk, "1:A", "1:B") == ["Ada", "Bob"]


def test_a_join_that_is_overtaken_does_not_replace_a_later_one(
    database: Database, talk: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    (third,) = database.chunks.find({"original_id": talk.id, "index": 2})
    read(database, talk)
    set_speakers(database, third["_id"], local("4:A", CY))
    replace_one = database.speakers.replace_one

    def overtaken(*arguments: Any) -> object:
        monkeypatch.undo()
        set_speakers(database, third["_id"], local("5:A", BOB))
        read(database, talk)
        return replace_one(*arguments)

    monkeypatch.setattr(database.speakers, "replace_one", overtaken)
    read(database, talk)
    stored = database.speakers.find_one({"_id": talk.id})
    assert stored is not None
    assert sorted(stored["of_local"]) == ["1:A", "1:B", "2:A", "2:B", "5:A"]


def test_of_two_who_name_one_at_once_the_second_is_told(
    database: Database, talk: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(database, talk)
    replace_one = database.speakers.replace_one

    def overtaken(*arguments: Any) -> object:
        monkeypatch.undo()
        rename(database, talk, "SPEAKER_01", "Ada", before="SPEAKER_01")
        return replace_one(*arguments)

    monkeypatch.setattr(database.speakers, "replace_one", overtaken)
    with pytest.raises(EditConflict):
        rename(database, talk, "SPEAKER_01", "Eve", before="SPEAKER_01")
    assert names(database, talk, "1:A") == ["Ada"]


def test_the_version_grows_with_each_change_alone(database: Database, talk: Recording) -> None:
    assert not is_current(database, talk, 0)
    assert read(database, talk).version == 1
    for name, version in (("Ada", 2), ("Ada", 2), ("", 3)):
        assert rename(database, talk, "SPEAKER_01", name).version == version
        assert [is_current(database, talk, version + more) for more in (-1, 0, 1)] == [
            False, True, False,
        ]  # fmt: skip


def test_voices_that_cannot_be_compared_are_no_speakers(
    database: Database, talk: Recording
) -> None:
    """Servers may have different models of voices: that of the most speech counts."""
    (document,) = database.chunks.find({"original_id": talk.id, "index": 1})
    odd = base64.b64encode(np.ones(3, "<f2").tobytes()).decode()
    set_speakers(database, document["_id"], LocalSpeaker("2:A", 10.0, odd))
    assert names(database, talk, "1:A", "1:B", "3:A", "2:A") == [
        "SPEAKER_01", "SPEAKER_02", "SPEAKER_01", "?",
    ]  # fmt: skip
