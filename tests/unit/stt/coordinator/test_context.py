"""Which worker and which node a sender may speak for."""

import asyncio

import pytest

from stt.coordinator import context
from stt.coordinator.authenticator import Person
from stt.coordinator.context import check_node, check_worker
from stt.coordinator.errors import Forbidden
from stt.domain.node import Node

MAC = Node("mac-1f2e", "Mac")


def test_a_node_speaks_for_itself_and_its_own_workers() -> None:
    check_node(MAC, "mac-1f2e")
    check_worker(MAC, "mac-1f2e_77")


@pytest.mark.parametrize("worker", ["mac-1f2ex_77", "other_1", "mac-1f2e", ""])
def test_a_node_speaks_for_no_other_worker(worker: str) -> None:
    with pytest.raises(Forbidden, match="Node mac-1f2e may not speak for worker"):
        check_worker(MAC, worker)


def test_a_node_speaks_for_no_other_node() -> None:
    with pytest.raises(Forbidden, match="may not speak for node other"):
        check_node(MAC, "other")


def test_a_person_may_speak_for_all() -> None:
    check_node(Person(), "other")
    check_worker(Person(), "other_1")


def test_a_session_of_a_browser_is_no_key() -> None:
    asyncio.run(context._key_holder(Person()))
    asyncio.run(context._key_holder(MAC))
    with pytest.raises(Forbidden, match="programs with a key"):
        asyncio.run(context._key_holder(Person(is_by_cookie=True)))
