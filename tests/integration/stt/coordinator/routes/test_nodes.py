"""Nodes over HTTP and their own channels, at two real coordinators of one database."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from tests.support.coordinator_app import KeyedSession
from tests.support.coordinator_nodes import Fleet, TheNode, receive, refused, send, shown
from tests.support.queue_builder import add_chunks, document


@pytest.fixture
def person(fleet: Fleet) -> Iterator[KeyedSession]:
    with fleet.first.person() as session:
        yield session


@pytest.fixture
def anonymous(fleet: Fleet) -> Iterator[KeyedSession]:
    fleet.database.refusals.delete_many({})
    with fleet.first.anonymous() as session:
        yield session


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
    [
        {"name": None},
        {"priority": None},
        {"is_enabled": None},
        {"priority": 1001},
        {"priority": True},
        {"model": ""},
    ],
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
