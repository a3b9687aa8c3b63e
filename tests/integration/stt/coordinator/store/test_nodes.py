"""Nodes and join codes, in a real database."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from stt.coordinator.store.nodes import NodeRegistry, NodesSnapshot
from stt.domain.claim import WorkerReport
from stt.domain.node import TEST_SECONDS, Job, Node, NodeTest
from stt.errors import DatabaseUnavailable, KeyRejected, NodeRemoved, NotFound
from stt.store.database import Database

REPORT = WorkerReport(
    host="box", pid=1, version="0.1.0", server="http://gpu:8081", state="working", slots=4,
    chunks=("6903ce2e3006e94c81d59b3f",), counts={"transcribed": 3},
)  # fmt: skip
JOB = Job(("6903ce2e3006e94c81d59b3f",), "talk.mp3", seconds=30.0, elapsed_seconds=2.0)


def nodes_of(registry: NodeRegistry) -> list[Node]:
    """Those that were not removed, in the order in which they joined."""
    return list(registry.snapshot().nodes.values())


@pytest.fixture
def registry(database: Database) -> NodeRegistry:
    return NodeRegistry(database)


def test_a_node_is_known_by_its_key_and_by_its_id(registry: NodeRegistry) -> None:
    node, key = registry.add("M4 MacBook Pro", "macOS arm64")
    assert registry.by_key(key) == registry.get(node.id) == node
    assert (node.name, node.platform, node.is_enabled) == ("M4 MacBook Pro", "macOS arm64", True)
    assert node.id.startswith("m4-macbook-pro-")


def test_nobody_is_known_by_another_key(registry: NodeRegistry) -> None:
    _, key = registry.add("one")
    assert registry.by_key(key[:-1]) is None
    assert registry.by_key("") is None
    assert registry.by_key("\ud800") is None


def test_the_database_has_no_key_and_no_code(registry: NodeRegistry, database: Database) -> None:
    _, key = registry.add("one")
    code = registry.new_join_code(minutes=1).code
    stored = str([*database.nodes.find(), *database.join_codes.find()])
    assert key not in stored
    assert code not in stored
    assert code.replace("-", "") not in stored


def test_two_nodes_may_have_one_name(registry: NodeRegistry) -> None:
    first, _ = registry.add("twin")
    second, _ = registry.add("twin")
    assert first.id != second.id
    assert [node.name for node in nodes_of(registry)] == ["twin", "twin"]


def test_an_id_that_is_taken_is_not_given_again(
    registry: NodeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = iter(["twin-0001", "twin-0001", "twin-0002"])
    monkeypatch.setattr("stt.coordinator.store.nodes.new_node_id", lambda name: next(ids))
    registry.add("twin")
    second, key = registry.add("twin")
    assert second.id == "twin-0002"
    assert registry.by_key(key) == second


def test_nodes_are_listed_in_the_order_in_which_they_joined(registry: NodeRegistry) -> None:
    joined = [registry.add(name)[0].id for name in ("zoe", "adam", "mia")]
    assert [node.id for node in nodes_of(registry)] == joined


def test_several_machines_join_with_one_code(registry: NodeRegistry) -> None:
    code = registry.new_join_code(minutes=1).code
    _, first = registry.register(code, "first", "")
    _, second = registry.register(f" {code.lower().replace('-', ' ')} ", "second", "")
    assert [registry.by_key(key) for key in (first, second)] == nodes_of(registry)


def test_a_code_has_fifty_bits_and_can_be_read_out(registry: NodeRegistry) -> None:
    codes = {registry.new_join_code(minutes=1).code for _ in range(20)}
    assert len(codes) == 20
    for code in codes:
        assert [len(group) for group in code.split("-")] == [4, 4, 4]
        assert not set(code) & set("ILOU01")


@pytest.mark.parametrize("code", ["", "-", "AAAA-AAAA-AAAA", "x" * 10_000, "\ud800", "$ne"])
def test_a_wrong_code_lets_nobody_in(registry: NodeRegistry, code: str) -> None:
    registry.new_join_code(minutes=1)
    with pytest.raises(KeyRejected, match="join code"):
        registry.register(code, "anonymous", "")
    assert nodes_of(registry) == []


def test_a_code_that_expired_lets_nobody_in(registry: NodeRegistry, database: Database) -> None:
    code = registry.new_join_code(minutes=1).code
    just_now = database.server_time() - timedelta(milliseconds=1)
    database.join_codes.update_one({}, {"$set": {"expires_at": just_now}})
    with pytest.raises(KeyRejected, match="no longer valid"):
        registry.register(code, "late", "")


def test_codes_that_were_revoked_let_nobody_in(registry: NodeRegistry) -> None:
    codes = [registry.new_join_code(minutes=1).code for _ in range(2)]
    registry.revoke_join_codes()
    for code in codes:
        with pytest.raises(KeyRejected):
            registry.register(code, "late", "")


def test_a_change_touches_what_it_names(registry: NodeRegistry) -> None:
    node, key = registry.add("one")
    changed = registry.change(node.id, {"name": "two", "priority": 5, "is_enabled": False})
    assert changed == replace(node, name="two", priority=5, is_enabled=False)
    assert registry.change(node.id, {"model": "small"}) == replace(changed, model="small")
    assert registry.change(node.id, {"model": None}) == changed
    assert registry.change(node.id, {}) == changed == registry.by_key(key)


def test_a_node_that_nobody_knows_cannot_be_changed_or_removed(registry: NodeRegistry) -> None:
    for act in (
        registry.get,
        registry.remove,
        registry.request_test,
        lambda node_id: registry.change(node_id, {"name": "x"}),
    ):
        with pytest.raises(NotFound, match="no node nobody"):
            act("nobody-0000")


def test_a_node_that_was_removed_is_told_so(registry: NodeRegistry) -> None:
    node, key = registry.add("one")
    registry.remove(node.id)
    with pytest.raises(NodeRemoved, match="removed"):
        registry.by_key(key)
    with pytest.raises(NodeRemoved, match="removed"):
        registry.record_heartbeat(node.id, REPORT)
    with pytest.raises(NotFound):
        registry.get(node.id)
    with pytest.raises(NotFound):
        registry.remove(node.id)
    assert nodes_of(registry) == []


def test_the_name_of_a_node_outlives_it(registry: NodeRegistry) -> None:
    gone, stays = registry.add("gone")[0], registry.add("stays")[0]
    registry.remove(gone.id)
    assert registry.names() == {gone.id: "gone", stays.id: "stays"}


def test_a_heartbeat_brings_a_node_online(registry: NodeRegistry, database: Database) -> None:
    node, _ = registry.add("one")
    registry.record_heartbeat(node.id, replace(REPORT, chunks=()))
    heard_of = registry.get(node.id)
    assert (heard_of.slots, heard_of.worker_state, heard_of.reported_chunks) == (4, "working", 0)
    assert heard_of.state(database.server_time(), 60) == "online"
    registry.record_heartbeat(node.id, REPORT)
    assert registry.get(node.id).state(database.server_time(), 60) == "busy"


def test_a_closed_channel_takes_its_own_jobs_with_it_alone(registry: NodeRegistry) -> None:
    node, _ = registry.add("one")
    registry.set_jobs(node.id, "old", [JOB])
    registry.set_jobs(node.id, "new", [replace(JOB, filename="other.mp3")])
    registry.forget_jobs(node.id, "old")
    assert [job.filename for job in registry.get(node.id).jobs] == ["other.mp3"]
    registry.forget_jobs(node.id, "new")
    assert registry.get(node.id).jobs == ()


def test_jobs_come_back_as_they_were_told(registry: NodeRegistry) -> None:
    node, _ = registry.add("one")
    registry.set_jobs(node.id, "channel", [JOB, replace(JOB, chunk_ids=())])
    assert registry.get(node.id).jobs == (JOB, replace(JOB, chunk_ids=()))


def test_a_test_has_one_end(registry: NodeRegistry, database: Database) -> None:
    node, _ = registry.add("one")
    registry.request_test(node.id)
    asked = registry.get(node.id).test_to_put(database.server_time())
    assert asked is not None
    registry.end_test(node.id, asked, NodeTest(True, "well", 12.5))
    registry.end_test(node.id, asked, NodeTest(False, "too late"))
    ended = registry.get(node.id)
    assert ended.asked_test is None
    assert ended.last_test is not None
    assert (ended.last_test.ok, ended.last_test.milliseconds) == (True, 12.5)
    assert ended.last_test.at is not None


def test_who_asks_for_a_test_under_way_waits_for_the_same(registry: NodeRegistry) -> None:
    node, _ = registry.add("one")
    registry.request_test(node.id)
    first = registry.get(node.id).asked_test
    registry.request_test(node.id)
    assert registry.get(node.id).asked_test == first


def test_a_test_that_nobody_waits_for_any_more_is_asked_anew(
    registry: NodeRegistry, database: Database
) -> None:
    node, _ = registry.add("one")
    registry.request_test(node.id)
    first = registry.get(node.id).asked_test
    then = database.server_time() - timedelta(seconds=TEST_SECONDS)
    database.nodes.update_one({"_id": node.id}, {"$set": {"test.asked_at": then}})
    registry.request_test(node.id)
    second = registry.get(node.id).asked_test
    assert first is not None
    assert second is not None
    assert first.id != second.id


def test_callers_at_one_moment_share_a_look(
    registry: NodeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.add("one")
    reads: list[int] = []
    read = registry._read_all

    def counted() -> NodesSnapshot:
        reads.append(1)
        return read()

    monkeypatch.setattr(registry, "_read_all", counted)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: registry.snapshot(max_age_seconds=60), range(40)))
    assert len(reads) == 1
    assert all(snapshot is found[0] for snapshot in found)


def test_callers_at_one_moment_wait_only_once_for_a_database_that_is_away(
    registry: NodeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []

    def fail() -> NodesSnapshot:
        reads.append(1)
        time.sleep(0.2)
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(registry, "_read_all", fail)
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(registry.snapshot) for _ in range(8)]
        errors = [future.exception() for future in asked]
    assert len(reads) <= 2
    assert [type(error) for error in errors] == [DatabaseUnavailable] * 8
    monkeypatch.undo()
    assert nodes_of(registry) == []


def test_a_look_without_an_age_sees_what_was_just_written(registry: NodeRegistry) -> None:
    registry.snapshot(max_age_seconds=60)
    node, _ = registry.add("one")
    assert list(registry.snapshot(max_age_seconds=60).nodes) == []
    assert list(registry.snapshot().nodes) == [node.id]
