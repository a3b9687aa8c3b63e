"""Nodes as people see them, with their workers and jobs."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import pytest

from stt.coordinator.schemas.nodes import describe_node, describe_nodes, node_settings
from stt.coordinator.store.nodes import NodesSnapshot
from stt.domain.claim import WorkerReport
from stt.domain.node import Job, Node
from stt.settings import Settings
from stt.store.workers import WorkerStatus

NOW = datetime(2026, 1, 2, tzinfo=UTC)
JOB = Job(("6903ce2e3006e94c81d59b3f",), "talk.mp3", 30.0, 2.0)
MAC = Node("mac-1f2e", "Mac", seen_at=NOW, worker_state="working")


def worker(id_: str, age_seconds: float = 1.0, state: str = "working") -> WorkerStatus:
    return WorkerStatus(id_, WorkerReport(state=state), age_seconds)


@pytest.fixture
def coordinator() -> Mock:
    coordinator = Mock()
    coordinator.options.offline_seconds = 60
    coordinator.roster.members.return_value = []
    coordinator.database.server_time.return_value = NOW
    return coordinator


def described(coordinator: Mock, *nodes: Node) -> list[dict[str, Any]]:
    snapshot = NodesSnapshot(NOW, {node.id: node for node in nodes})
    return [node.model_dump() for node in describe_nodes(coordinator, snapshot)]


def test_a_node_has_its_own_workers_and_none_of_another(coordinator: Mock) -> None:
    other = Node("mac-1f2ex", "Other", seen_at=NOW)
    coordinator.roster.members.return_value = [
        worker("mac-1f2e_7"), worker("mac-1f2ex_8"), worker("box_9"),
    ]  # fmt: skip
    ids = [[w["id"] for w in node["workers"]] for node in described(coordinator, MAC, other)]
    assert ids == [["mac-1f2e_7"], ["mac-1f2ex_8"]]


def test_of_many_runs_that_have_stopped_only_the_latest_is_shown(coordinator: Mock) -> None:
    coordinator.roster.members.return_value = [
        worker(f"mac-1f2e_{n}", age_seconds=n, state="stopped") for n in (1, 2, 3)
    ]
    [node] = described(coordinator, MAC)
    assert [w["id"] for w in node["workers"]] == ["mac-1f2e_1"]
    coordinator.roster.members.return_value.append(worker("mac-1f2e_4"))
    [node] = described(coordinator, MAC)
    assert [w["id"] for w in node["workers"]] == ["mac-1f2e_4"]


def test_jobs_are_as_old_as_they_are_now_and_an_offline_node_has_none(coordinator: Mock) -> None:
    reported_at = NOW - timedelta(seconds=5)
    busy = Node("a-0001", "A", seen_at=NOW - timedelta(10), jobs=(JOB,), jobs_at=reported_at)
    [offline] = described(coordinator, busy)
    assert (offline["state"], offline["jobs"]) == ("offline", [])
    online = Node(
        "a-0001", "A", seen_at=reported_at - timedelta(seconds=1), jobs=(JOB,), jobs_at=reported_at
    )
    [node] = described(coordinator, online)
    assert (node["state"], node["jobs"]) == ("busy", [asdict(JOB.after(5.0))])


def test_without_nodes_the_workers_are_not_read(coordinator: Mock) -> None:
    assert described(coordinator) == []
    coordinator.roster.members.assert_not_called()


def test_one_node_is_described_as_of_now(coordinator: Mock) -> None:
    [listed] = described(coordinator, MAC)
    assert describe_node(coordinator, MAC).model_dump() == listed


def test_a_node_is_sent_its_own_settings_and_the_fleets_rules() -> None:
    options = Settings(lease_seconds=77, heartbeat_seconds=7)
    settings = node_settings(Node("mac-1f2e", "Mac", priority=5, model="tiny"), options)
    assert (settings.id, settings.name, settings.priority) == ("mac-1f2e", "Mac", 5)
    assert (settings.model, settings.is_enabled) == ("tiny", True)
    assert (settings.rules.lease_seconds, settings.rules.heartbeat_seconds) == (77, 7)
