"""The audio of chunks: for the node that holds one, and in ranges for players."""

from http import HTTPStatus

import pytest

from stt.domain.claim import Claim
from stt.errors import AudioNotAllowed, AudioStoreUnavailable, ClaimLost
from stt.store import claims, object_store
from stt.store.database import Database
from stt.store.object_store import AudioPlaces, ObjectStore
from stt.system.s3_url import S3Url
from tests.support.coordinator_app import CoordinatorThread
from tests.support.queue_builder import add_chunks
from tests.support.remote_member import Member
from tests.support.s3_server import BUCKET, STORE, S3Server


def test_a_node_reads_the_audio_of_what_it_holds_and_of_nothing_else(
    database: Database, mac: Member, opus: bytes
) -> None:
    held, other = add_chunks(database, 2, audio=opus)
    claim = mac.claim(database, held)
    assert mac.queue.audio(claim) == opus
    assert mac.session.get(f"/chunks/{other}.opus").json()["error"]["code"] == "claim_lost"
    claims.release(database, [held])
    with pytest.raises(ClaimLost):
        mac.queue.audio(claim)


def test_a_node_reads_the_audio_beside_what_it_holds(database: Database, mac: Member) -> None:
    ids = add_chunks(database, 4)
    for number, id_ in enumerate(ids):
        database.audio.insert_one({"_id": id_, "data": f"audio {number}".encode()})
    database.chunks.update_one({"_id": ids[3]}, {"$set": {"attempts": 1}})
    held = mac.claim(database, ids[1])
    assert mac.queue.neighbour_audio(held, -1) == b"audio 0"
    assert mac.queue.neighbour_audio(held, 1) == b"audio 2"
    assert mac.session.get(f"/chunks/{ids[2]}.opus/after").json()["error"]["code"] == "claim_lost"
    # The first has none before it, and one that failed before may be what a server dies of.
    assert mac.queue.neighbour_audio(mac.claim(database, ids[0]), -1) is None
    assert mac.queue.neighbour_audio(mac.claim(database, ids[2]), 1) is None


@pytest.mark.parametrize(
    ("range_", "status", "first", "last"),
    [
        ("bytes=0-9", 206, 0, 9),
        ("bytes=10-", 206, 10, None),
        ("bytes=-5", 206, -5, None),
        ("bytes=5-99999999", 206, 5, None),
        ("bytes=9-5", 200, 0, None),
        ("chapters=1-2", 200, 0, None),
    ],
)
def test_a_player_reads_ranges(
    database: Database,
    fresh_coordinator: CoordinatorThread,
    opus: bytes,
    range_: str,
    status: int,
    first: int,
    last: int | None,
) -> None:
    [id_] = add_chunks(database, 1, audio=opus)
    answer = fresh_coordinator.person().get(f"/chunks/{id_}.opus", headers={"Range": range_})
    assert answer.status_code == status
    assert answer.content == opus[first : None if last is None else last + 1]
    assert answer.headers["Content-Type"] == "audio/ogg"


@pytest.mark.parametrize("range_", ["bytes=999999999-", "bytes=-0"])
def test_a_range_beyond_the_end_is_none(
    database: Database, fresh_coordinator: CoordinatorThread, opus: bytes, range_: str
) -> None:
    [id_] = add_chunks(database, 1, audio=opus)
    answer = fresh_coordinator.person().get(f"/chunks/{id_}.opus", headers={"Range": range_})
    assert answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    assert answer.headers["Content-Range"] == f"bytes */{len(opus)}"


class TestInS3:
    """A node needs no access to S3: the coordinator reads for it."""

    @pytest.fixture
    def held(
        self, database: Database, mac: Member, s3: S3Server, monkeypatch: pytest.MonkeyPatch
    ) -> Claim:
        monkeypatch.setattr(object_store, "_MAX_TRIES", 1)
        monkeypatch.setattr(object_store, "_READ_SECONDS", 0.5)
        monkeypatch.setattr(database, "objects", ObjectStore(AudioPlaces(S3Url.parse(STORE))))
        s3.client.put_object(Bucket=BUCKET, Key="stt/a.opus", Body=b"in S3")
        (id_,) = add_chunks(database, 1, audio_url=f"{STORE}/a.opus")
        return mac.claim(database, id_)

    def test_a_node_reads_it_through_the_coordinator(self, mac: Member, held: Claim) -> None:
        assert mac.queue.audio(held) == b"in S3"

    def test_an_outage_is_one_of_the_audio_alone(
        self, mac: Member, held: Claim, s3: S3Server
    ) -> None:
        s3.pause()
        try:
            with pytest.raises(AudioStoreUnavailable, match="does not answer"):
                mac.queue.audio(held)
        finally:
            s3.resume()
        assert mac.queue.audio(held) == b"in S3"

    def test_credentials_of_the_coordinator_are_no_fault_of_the_node(
        self, mac: Member, held: Claim, s3: S3Server
    ) -> None:
        s3.check_keys()
        with pytest.raises(AudioStoreUnavailable, match="check the credentials"):
            mac.queue.audio(held)

    def test_what_the_coordinator_may_not_read_is_left_alone(
        self, database: Database, mac: Member, held: Claim
    ) -> None:
        url = "s3://of-others/a.opus"
        database.chunks.update_one({"_id": held.chunk.id}, {"$set": {"audio_url": url}})
        with pytest.raises(AudioNotAllowed, match="STT_AUDIO_SOURCES"):
            mac.queue.audio(held)

    def test_readers_that_wait_for_s3_leave_room_for_others(
        self, database: Database, mac: Member, held: Claim, s3: S3Server
    ) -> None:
        database.objects.limit_reads(1)
        s3.pause()
        try:
            assert database.objects._reads.acquire()
            with pytest.raises(AudioStoreUnavailable, match="others wait for it"):
                mac.queue.audio(held)
        finally:
            s3.resume()
