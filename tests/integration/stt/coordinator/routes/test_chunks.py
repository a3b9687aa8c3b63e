"""The audio of chunks: for the node that holds one, and in ranges for players."""

from http import HTTPStatus

import pytest

from stt.errors import ClaimLost
from stt.store import claims
from stt.store.database import Database
from tests.support.coordinator_app import CoordinatorThread
from tests.support.queue_builder import add_chunks
from tests.support.remote_member import Member


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
