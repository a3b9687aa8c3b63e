"""What the WebSockets of all nodes share: one read for all of them."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from stt.errors import DatabaseUnavailable
from tests.support.coordinator_app import KeyedSession
from tests.support.coordinator_nodes import Fleet, TheNode, receive
from tests.support.pace import until


@pytest.fixture
def person(fleet: Fleet) -> Iterator[KeyedSession]:
    with fleet.first.person() as session:
        yield session


def test_a_node_hears_of_a_change_over_its_channel(person: KeyedSession, node: TheNode) -> None:
    with node.channel(node.fleet.second) as channel:
        person.patch(node.path, json={"name": "renamed", "model": "small"})
        received = receive(channel, "settings")
        assert (received["name"], received["model"]) == ("renamed", "small")
        assert received["rules"]["heartbeat_seconds"] == 30


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
