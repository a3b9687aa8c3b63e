"""Nodes over HTTP and their own channels, at two real coordinators of one database."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pymongo
import pytest
from bson import ObjectId
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from stt.domain.claim import ClaimRules
from stt.errors import DatabaseUnavailable
from stt.store.claims import MongoClaims
from stt.store.database import Database
from tests.support.coordinator_app import CoordinatorThread, KeyedSession, running_coordinator
from tests.support.pace import until
from tests.support.queue_builder import add_chunks, chunk, document

RULES = ClaimRules(lease_seconds=300, max_attempts=3, max_expirations=5)


@dataclass(frozen=True)
class Fleet:
    """Two coordinators, and what they share."""

    database: Database
    first: CoordinatorThread
    second: CoordinatorThread


@pytest.fixture(scope="module")
def fleet(mongo_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("data")
    name = f"stt_test_{ObjectId()}"
    with Database(mongo_url, name) as database:
        database.ensure_indexes()
        with (
            running_coordinator(database, folder / "first") as first,
            running_coordinator(database, folder / "second") as second,
        ):
            yield Fleet(database, first, second)
    with pymongo.MongoClient[dict[str, object]](mongo_url) as client:
        client.drop_database(name)


@pytest.fixture
def person(fleet: Fleet) -> Iterator[KeyedSession]:
    with fleet.first.person() as session:
        yield session


@pytest.fixture
def anonymous(fleet: Fleet) -> Iterator[KeyedSession]:
    fleet.database.refusals.delete_many({})
    with fleet.first.anonymous() as session:
        yield session


@dataclass(frozen=True)
class TheNode:
    """A node that has joined, and what it can say."""

    fleet: Fleet
    id: str
    session: KeyedSession
    key: str

    @property
    def path(self) -> str:
        return f"/api/nodes/{self.id}"

    @property
    def worker(self) -> str:
        return f"{self.id}_77"

    def heartbeat(self, **received: object) -> Any:
        body = {"worker_id": self.worker, "pid": 77, "slots": 2, **received}
        answer = self.session.post(f"{self.path}/heartbeat", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def claims(self, chunk_id: ObjectId, worker: str | None = None) -> None:
        claims = MongoClaims(self.fleet.database, worker or self.worker, RULES)
        assert claims.claim(chunk(self.fleet.database, chunk_id)) is not None

    @contextmanager
    def channel(self, at: CoordinatorThread | None = None) -> Iterator[ClientConnection]:
        """Open the WebSocket, and receive its first message: the settings."""
        with open_channel(at or self.fleet.first, self.id, self.key) as channel:
            assert receive(channel, "settings")["id"] == self.id
            yield channel


@pytest.fixture
def node(fleet: Fleet) -> Iterator[TheNode]:
    node_id, key = fleet.first.join("M4 MacBook Pro")
    with fleet.first.node(key) as session:
        yield TheNode(fleet, node_id, session, key)


def open_channel(at: CoordinatorThread, node_id: str, key: str | None) -> ClientConnection:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    url = f"{at.ws_url}/ws/worker/{node_id}"
    return connect(url, additional_headers=headers, proxy=None, close_timeout=1)


def receive(channel: ClientConnection, kind: str, seconds: float = 10) -> Any:
    """Return the next message of this kind; drop others."""
    until = time.monotonic() + seconds
    while True:
        message = json.loads(channel.recv(timeout=until - time.monotonic()))
        if message["type"] == kind:
            return message


def send(channel: ClientConnection, message: object) -> None:
    channel.send(json.dumps(message))


def shown(person: KeyedSession, node: TheNode) -> Any:
    answer = person.get(node.path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer: Any, status: int, code: str) -> str:
    """Return the message of an error of this kind."""
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    message: str = answer.json()["error"]["message"]
    return message


# Joining.


def test_machines_join_with_a_code_and_are_known_by_their_keys(
    person: KeyedSession, anonymous: KeyedSession, fleet: Fleet
) -> None:
    code = person.post("/api/nodes/join-codes").json()["code"]
    for name in ("first", "second"):
        answer = anonymous.post(
            "/api/nodes/register", json={"code": code, "name": name, "platform": "Linux x86_64"}
        )
        assert answer.status_code == 201
        joined, key = answer.json()["node"], answer.json()["api_key"]
        assert joined["name"] == name
        with fleet.second.node(key) as session:
            itself = session.get(f"/api/nodes/{joined['id']}").json()
        assert (itself["platform"], itself["state"]) == ("Linux x86_64", "offline")


def test_a_wrong_code_is_refused_and_slows_down(
    person: KeyedSession, anonymous: KeyedSession
) -> None:
    body = {"code": "AAAA-AAAA-AAAA", "name": "anonymous"}
    before = len(person.get("/api/nodes").json()["nodes"])
    answers = [anonymous.post("/api/nodes/register", json=body) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 4 + [429] * 2
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert len(person.get("/api/nodes").json()["nodes"]) == before


def test_a_code_that_expired_or_was_revoked_is_refused(
    person: KeyedSession, anonymous: KeyedSession, fleet: Fleet
) -> None:
    code = person.post("/api/nodes/join-codes").json()["code"]
    past = fleet.database.server_time() - timedelta(seconds=1)
    fleet.database.join_codes.update_many({}, {"$set": {"expires_at": past}})
    revoked = person.post("/api/nodes/join-codes").json()["code"]
    assert person.delete("/api/nodes/join-codes").status_code == 204
    for wrong in (code, revoked):
        answer = anonymous.post("/api/nodes/register", json={"code": wrong, "name": "late"})
        assert "no longer valid" in refused(answer, 401, "unauthorized")


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\nb", "a\u202eb", None, 7])
def test_a_name_that_is_none_is_refused(person: KeyedSession, name: object) -> None:
    refused(person.post("/api/nodes", json={"name": name}), 422, "invalid")


@pytest.mark.parametrize("name", ["<img onerror=alert(1)>", "../../x", "机器 🖥"])
def test_a_name_is_text_and_nothing_else(person: KeyedSession, name: str) -> None:
    added = person.post("/api/nodes", json={"name": name}).json()["node"]
    assert person.get(f"/api/nodes/{added['id']}").json()["name"] == name


# Who may do what.


def test_a_node_speaks_for_itself_alone(fleet: Fleet, node: TheNode) -> None:
    other, _ = fleet.first.join("other")
    body = {"worker_id": f"{other}_1"}
    for answer in (
        node.session.get(f"/api/nodes/{other}"),
        node.session.patch(f"/api/nodes/{other}", json={"name": "mine"}),
        node.session.delete(f"/api/nodes/{other}"),
        node.session.post(f"/api/nodes/{other}/heartbeat", json=body),
        node.session.post(f"/api/nodes/{other}/restarted", json=body),
        node.session.post(f"{node.path}/heartbeat", json=body),
        node.session.post(f"{node.path}/restarted", json=body),
    ):
        refused(answer, 403, "forbidden")


def test_what_is_for_people_is_not_for_nodes(node: TheNode) -> None:
    for method, path in (
        ("GET", "/api/nodes"),
        ("POST", "/api/nodes/join-codes"),
        ("DELETE", "/api/nodes/join-codes"),
        ("POST", f"{node.path}/test"),
    ):
        refused(node.session.request(method, path), 403, "forbidden")
    refused(node.session.post("/api/nodes", json={"name": "x"}), 403, "forbidden")


def test_what_only_a_node_can_say_is_not_for_people(person: KeyedSession, node: TheNode) -> None:
    body = {"worker_id": node.worker}
    refused(person.post(f"{node.path}/heartbeat", json=body), 403, "forbidden")
    refused(person.post(f"{node.path}/restarted", json=body), 403, "forbidden")


def test_without_a_key_nobody_sees_nodes(anonymous: KeyedSession, node: TheNode) -> None:
    for method, path in (
        ("GET", "/api/nodes"),
        ("POST", "/api/nodes"),
        ("POST", "/api/nodes/join-codes"),
        ("DELETE", "/api/nodes/join-codes"),
        ("GET", node.path),
        ("PATCH", node.path),
        ("DELETE", node.path),
        ("POST", f"{node.path}/test"),
        ("POST", f"{node.path}/heartbeat"),
        ("POST", f"{node.path}/restarted"),
    ):
        refused(anonymous.request(method, path), 401, "unauthorized")


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


# Changing.


def test_a_person_changes_a_node_and_it_hears_of_it_with_its_heartbeat(
    person: KeyedSession, node: TheNode
) -> None:
    changes = {"name": "renamed", "priority": -3, "model": "small", "is_enabled": False}
    answer = person.patch(node.path, json=changes)
    assert answer.status_code == 200
    assert changes.items() <= answer.json().items()
    received = node.heartbeat()
    assert changes.items() <= received.items()
    assert received["rules"]["lease_seconds"] == 300
    assert person.patch(node.path, json={"model": None}).json()["model"] is None


@pytest.mark.parametrize(
    "change",
    [{"name": None}, {"priority": None}, {"is_enabled": None}, {"priority": 1001}, {"model": ""}],
)
def test_a_change_that_makes_no_sense_is_refused(
    person: KeyedSession, node: TheNode, change: dict[str, object]
) -> None:
    before = shown(person, node)
    assert person.patch(node.path, json=change).status_code == 422
    assert shown(person, node) == before


def test_a_node_may_change_its_name_and_no_more(person: KeyedSession, node: TheNode) -> None:
    assert node.session.patch(node.path, json={"name": "mine"}).status_code == 200
    assert shown(person, node)["name"] == "mine"
    refused(node.session.patch(node.path, json={"priority": 9}), 403, "forbidden")
    refused(node.session.patch(node.path, json={"name": "x", "model": "y"}), 403, "forbidden")
    assert shown(person, node)["name"] == "mine"


def test_a_node_that_nobody_knows_is_not_found(person: KeyedSession) -> None:
    for method, path in (
        ("GET", "/api/nodes/nobody-0000"),
        ("DELETE", "/api/nodes/nobody-0000"),
        ("POST", "/api/nodes/nobody-0000/test"),
        ("GET", f"/api/nodes/{'x' * 5_000}"),
    ):
        assert "no node" in refused(person.request(method, path), 404, "not_found")
    refused(person.patch("/api/nodes/nobody-0000", json={"name": "x"}), 404, "not_found")


def test_a_node_that_was_removed_is_told_so_and_its_chunks_are_pending_again(
    person: KeyedSession, node: TheNode, fleet: Fleet
) -> None:
    node.heartbeat()
    [mine, others] = add_chunks(fleet.database, 2)
    node.claims(mine)
    node.claims(others, worker=f"{node.id}x_1")
    assert person.delete(node.path).status_code == 204
    refused(node.session.post(f"{node.path}/heartbeat", json={}), 410, "node_removed")
    refused(person.get(node.path), 404, "not_found")
    refused(person.delete(node.path), 404, "not_found")
    assert document(fleet.database, mine)["processing_by"] is None
    assert document(fleet.database, others)["processing_by"] == f"{node.id}x_1"
    assert fleet.database.workers.find_one({"_id": node.worker}) is None


def test_a_node_removes_itself(person: KeyedSession, node: TheNode) -> None:
    assert node.session.delete(node.path).status_code == 204
    refused(node.session.get(node.path), 410, "node_removed")


def test_a_node_that_was_started_again_gives_back_what_it_held(
    node: TheNode, person: KeyedSession, fleet: Fleet
) -> None:
    before, now = add_chunks(fleet.database, 2)
    node.claims(before, worker=f"{node.id}_76")
    node.claims(now)
    node.heartbeat(worker_id=f"{node.id}_76")
    node.heartbeat()
    answer = node.session.post(f"{node.path}/restarted", json={"worker_id": node.worker})
    assert answer.json() == {"released": 1}
    assert document(fleet.database, before)["processing_by"] is None
    assert document(fleet.database, now)["processing_by"] == node.worker
    assert [worker["id"] for worker in shown(person, node)["workers"]] == [node.worker]


# State.


def test_a_node_is_online_busy_offline(node: TheNode, person: KeyedSession, fleet: Fleet) -> None:
    assert shown(person, node)["state"] == "offline"
    node.heartbeat()
    assert shown(person, node)["state"] == "online"
    node.heartbeat(chunks=["6903ce2e3006e94c81d59b3f"])
    assert shown(person, node)["state"] == "busy"
    then = fleet.database.server_time() - timedelta(seconds=61)
    fleet.database.nodes.update_one({"_id": node.id}, {"$set": {"seen_at": then}})
    assert shown(person, node)["state"] == "offline"
    node.heartbeat()
    node.heartbeat(state="stopped")
    assert shown(person, node)["state"] == "offline"


def test_the_list_has_each_node_with_its_worker(
    node: TheNode, person: KeyedSession, fleet: Fleet
) -> None:
    silent, _ = fleet.second.join("silent")
    node.heartbeat(server="http://127.0.0.1:8081", counts={"transcribed": 5})
    listed = {found["id"]: found for found in person.get("/api/nodes").json()["nodes"]}
    [worker] = listed[node.id]["workers"]
    assert (worker["id"], worker["server"]) == (node.worker, "http://127.0.0.1:8081")
    assert (worker["node_id"], worker["counts"]) == (node.id, {"transcribed": 5})
    assert listed[node.id] == shown(person, node) | {"workers": [worker]}
    assert (listed[silent]["workers"], listed[silent]["state"]) == ([], "offline")


# The node's own channel.


def test_a_node_hears_of_a_change_over_its_channel(person: KeyedSession, node: TheNode) -> None:
    with node.channel(node.fleet.second) as channel:
        person.patch(node.path, json={"name": "renamed", "model": "small"})
        received = receive(channel, "settings")
        assert (received["name"], received["model"]) == ("renamed", "small")
        assert received["rules"]["heartbeat_seconds"] == 30


def test_a_node_hears_that_it_was_removed(person: KeyedSession, node: TheNode) -> None:
    with node.channel(node.fleet.second) as channel:
        person.delete(node.path)
        receive(channel, "removed")
        with pytest.raises(ConnectionClosed) as closed:
            channel.recv(timeout=5)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4410


def test_a_test_makes_its_round_trip_through_whichever_coordinator(
    person: KeyedSession, node: TheNode
) -> None:
    node.heartbeat()
    with node.channel(node.fleet.second) as channel, ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(person.post, f"{node.path}/test") for _ in range(2)]
        test = receive(channel, "test")
        answer = {"type": "tested", "ok": True, "milliseconds": 0.1, "detail": "all well"}
        send(channel, answer | {"id": "another"})
        send(channel, answer | {"id": test["id"]})
        results = [future.result().json() for future in asked]
    assert results[0] == results[1]
    assert (results[0]["ok"], results[0]["detail"]) == (True, "all well")
    assert 0 <= results[0]["milliseconds"] < 15_000
    last = shown(person, node)["last_test"]
    assert last.pop("at") is not None
    assert last == results[0]


def test_a_test_of_a_node_that_is_offline_says_so_at_once(
    person: KeyedSession, node: TheNode
) -> None:
    began_at = time.monotonic()
    answer = person.post(f"{node.path}/test")
    assert answer.json() == {"ok": False, "milliseconds": None, "detail": "It is offline."}
    assert time.monotonic() - began_at < 5


def test_a_test_of_a_node_without_a_channel_ends(
    person: KeyedSession, node: TheNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stt.coordinator.routes.nodes.TEST_SECONDS", 0.5)
    node.heartbeat()
    answer = person.post(f"{node.path}/test").json()
    assert (answer["ok"], answer["milliseconds"]) == (False, None)
    assert "did not answer" in answer["detail"]
    assert shown(person, node)["last_test"]["detail"] == answer["detail"]


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
            channel.recv(timeout=5)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        assert closed.value.rcvd.reason


def test_what_a_later_version_says_is_passed_over(node: TheNode, person: KeyedSession) -> None:
    with node.channel() as channel:
        send(channel, {"type": "weather", "is": "fine"})
        person.patch(node.path, json={"name": "renamed"})
        assert receive(channel, "settings")["name"] == "renamed"


def test_many_channels_share_one_look(
    person: KeyedSession, node: TheNode, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[float] = []
    registry = fleet.second.coordinator.registry
    read = registry._read_all

    def counted() -> Any:
        reads.append(time.monotonic())
        return read()

    with ExitStack() as stack:
        channels = [stack.enter_context(node.channel(fleet.second)) for _ in range(20)]
        monkeypatch.setattr(registry, "_read_all", counted)
        until(lambda: len(reads) == 3)
        assert reads[2] - reads[0] > 1.5
        person.patch(node.path, json={"name": "renamed"})
        for channel in channels:
            assert receive(channel, "settings")["name"] == "renamed"


def test_a_channel_outlives_a_database_that_was_away(
    person: KeyedSession, node: TheNode, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[float] = []

    def fail() -> Any:
        reads.append(time.monotonic())
        raise DatabaseUnavailable("away")

    with node.channel(fleet.second) as channel:
        with monkeypatch.context() as away:
            away.setattr(fleet.second.coordinator.registry, "_read_all", fail)
            until(lambda: len(reads) == 2)
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
            channel.recv(timeout=5)
    assert shown(person, node)["jobs"] == []
    with node.channel(node.fleet.second):
        pass
    assert "Traceback" not in caplog.text
