"""Ids of workers: made from an owner and a run, and told apart by owner."""

import os
import socket

import pytest

from stt.domain.worker_id import WorkerId, pattern_of_node


def test_an_id_is_made_of_an_owner_and_a_run() -> None:
    id_ = WorkerId.of("m4-mac-3fa2", 1_764_000_000)
    assert id_ == "m4-mac-3fa2_1764000000"
    assert id_.owner == "m4-mac-3fa2"


def test_a_process_has_the_name_of_its_host_and_its_process_id() -> None:
    assert WorkerId.of_this_process() == f"{socket.gethostname()}_{os.getpid()}"


@pytest.mark.parametrize(
    ("text", "owner"), [("my_host_12", "my_host"), ("worker", ""), ("", ""), ("a_", "a")]
)
def test_the_owner_is_what_stands_before_the_last_underscore(text: str, owner: str) -> None:
    assert WorkerId(text).owner == owner


def test_a_nodes_pattern_matches_its_own_workers_only() -> None:
    pattern = pattern_of_node("mac.3")
    assert pattern.search("mac.3_17")
    for other in ("mac.3_x", "mac.33_17", "macx3_17", "a_mac.3_17", "mac.3_17\n1", "mac.3"):
        assert not pattern.search(other)
