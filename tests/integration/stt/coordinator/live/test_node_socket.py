"""A node's WebSocket: what is sent over it, and how it ends."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from bson import ObjectId
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.coordinator_app import KeyedSession, running_coordinator
from tests.support.coordinator_nodes import Fleet, TheNode, open_channel, receive, send, shown
from tests.support.pace import until
from tests.support.queue_builder import add_chunks


@pytest.fixture
def person(fleet: Fleet) -> Iterator[KeyedSession]:
    with fleet.first.person() as session:
        yield session


def test_a_channel_opens_for_its_own_node_alone(fleet: Fleet, node: TheNode) -> None:
    other, other_key = fleet.first.join("other")
    for node_id, key, status in (
        (node.id, None, 401),
        (node.id, "wrong", 401),
        (node.id, other_key, 403),
        (other, node.key, 403),
        (node.id, "open-sesame-for-people", 403),
    ):
        with pytest.raises(InvalidStatus) as caught:
            open_channel(fleet.first, node_id, key)
        assert caught.value.response.status_code == status


def test_a_node_hears_that_it_was_removed(person: KeyedSession, node: TheNode) -> None:
    with node.channel(node.fleet.second) as channel:
        person.delete(node.path)
        receive(channel, "removed")
        with pytest.raises(ConnectionClosed) as closed:
            channel.recv(timeout=60)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4410


def test_what_a_node_is_at_is_shown_while_its_channel_is_open(
    person: KeyedSession, node: TheNode
) -> None:
    node.heartbeat()
    job = {
        "chunk_ids": ["6903ce2e3006e94c81d59b3f"],
        "filename": "talk.mp3",
        "seconds": 30.0,
        "elapsed_seconds": 2.0,
    }
    with node.channel() as channel:
        send(channel, {"type": "progress", "jobs": [job]})
        [received] = until(lambda: shown(person, node)["jobs"])
        assert received["elapsed_seconds"] >= 2.0
        assert received | {"elapsed_seconds": 2.0} == job
        assert shown(person, node)["state"] == "busy"
        send(channel, {"type": "progress", "jobs": []})
        until(lambda: shown(person, node)["state"] == "online")
        send(channel, {"type": "progress", "jobs": [job]})
        until(lambda: shown(person, node)["jobs"])
    until(lambda: shown(person, node)["jobs"] == [])


def test_a_node_hears_which_of_its_claims_are_lost(
    node: TheNode, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stt.coordinator.live.node_monitor._POLLS_PER_CLAIMS_CHECK", 1)
    kept, lost, taken = add_chunks(fleet.database, 3)
    deleted = ObjectId()
    node.claims(kept)
    node.claims(taken, worker="another_1")
    received = [str(id_) for id_ in (kept, lost, taken, deleted)]
    with node.channel(fleet.second) as channel:
        send(channel, {"type": "progress", "jobs": [{"chunk_ids": received}]})
        cancelled = receive(channel, "cancel")["chunk_ids"]
        assert cancelled == sorted(map(str, (lost, taken, deleted)))
        fleet.database.chunks.update_one({"_id": kept}, {"$set": {"processing_by": None}})
        assert receive(channel, "cancel")["chunk_ids"] == [str(kept)]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[" * 100_000,
        '{"type": "progress"}',
        '{"type": "progress", "jobs": [{"chunk_ids": ["x"]}]}',
        '{"type": "progress", "jobs": [{"chunk_ids": [], "seconds": NaN}]}',
        '{"type": "tested", "id": "x", "ok": "perhaps"}',
        b"\x00",
    ],
)
def test_what_cannot_be_understood_closes_the_channel_and_says_why(
    node: TheNode, text: str | bytes
) -> None:
    with node.channel() as channel:
        channel.send(text)
        with pytest.raises(ConnectionClosed) as closed:
            channel.recv(timeout=60)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        assert closed.value.rcvd.reason


def test_what_a_later_version_says_is_passed_over(node: TheNode, person: KeyedSession) -> None:
    with node.channel() as channel:
        send(channel, {"type": "weather", "is": "fine"})
        person.patch(node.path, json={"name": "renamed"})
        assert receive(channel, "settings")["name"] == "renamed"


def test_a_coordinator_that_ends_hangs_up_and_the_node_goes_to_another(
    person: KeyedSession, node: TheNode, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    node.heartbeat()
    with (
        running_coordinator(node.fleet.database, tmp_path) as third,
        node.channel(third) as channel,
    ):
        send(channel, {"type": "progress", "jobs": [{"chunk_ids": []}]})
        until(lambda: shown(person, node)["jobs"])
        third.stop()
        with pytest.raises(ConnectionClosed):
            channel.recv(timeout=60)
    assert shown(person, node)["jobs"] == []
    with node.channel(node.fleet.second):
        pass
    assert "Traceback" not in caplog.text


def test_a_message_that_is_made_to_take_long_is_not_parsed(node: TheNode) -> None:
    with node.channel() as channel:
        channel.send("[" + ",".join(["[]"] * 300_000) + "]")
        with pytest.raises(ConnectionClosed) as closed:
            channel.recv(timeout=60)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    assert closed.value.rcvd.reason == "a message has too many parts"
