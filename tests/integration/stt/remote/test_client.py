"""Requests to a coordinator, and to what answers in its place."""

import gzip
import itertools
import json
import time
from dataclasses import replace

import pytest
from bson import ObjectId

from stt.domain.chunk import Chunk
from stt.domain.claim import ClaimRules, Order, Pending
from stt.errors import ConfigError, DatabaseUnavailable, KeyRejected
from stt.system.http import MAX_ANSWER_BYTES
from tests.support.coordinator_app import CoordinatorThread
from tests.support.mongo_process import free_port
from tests.support.raw_server import RawServer, answer_of
from tests.support.remote_member import impostor, queue_at


def test_a_wrong_key_ends_the_worker_and_says_so(
    coordinator: CoordinatorThread, rules: ClaimRules
) -> None:
    with pytest.raises(KeyRejected, match="refuses the key"):
        queue_at(coordinator.url, rules, key="wrong").page(1, Order())


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, "<html>Log in to the hotel's network</html>", DatabaseUnavailable),
        (200, '{"something": "else"}', DatabaseUnavailable),
        (502, "<html>Bad gateway</html>", DatabaseUnavailable),
        (429, '{"error": {"code": "too_many", "message": "wait"}}', DatabaseUnavailable),
        (302, "", ConfigError),
        (404, "<html>Not found</html>", ConfigError),
    ],
)
def test_an_answer_that_is_no_coordinators_is_waited_out_or_named(
    rules: ClaimRules, status: int, body: str, error: type[Exception]
) -> None:
    with impostor(lambda _: (status, body)) as (url, _):
        queue = queue_at(url, rules)
        with pytest.raises(error):
            queue.page(10, Order())


@pytest.mark.parametrize(
    "answer",
    [
        answer_of(gzip.compress(bytes(1_000_000)), "Content-Encoding: gzip"),
        answer_of(b"[" * 500_000),
        answer_of(bytes(MAX_ANSWER_BYTES + 1)),
    ],
    ids=["compressed", "nested", "large"],
)
def test_an_answer_that_would_fill_the_memory_is_no_coordinators(
    rules: ClaimRules, answer: bytes
) -> None:
    with RawServer([answer]).running() as server:
        queue = queue_at(server.url, rules)
        with pytest.raises(DatabaseUnavailable, match="does not answer like a coordinator"):
            queue.page(10, Order())


def test_an_answer_that_trickles_ends_before_the_lease(rules: ClaimRules) -> None:
    endless = itertools.chain([b"HTTP/1.1 200 OK\r\n\r\n"], itertools.repeat(b" "))
    short = replace(rules, lease_seconds=1.0)
    with RawServer(endless, 0.05).running() as server:
        queue, began = queue_at(server.url, short), time.monotonic()
        with pytest.raises(DatabaseUnavailable, match="no answer in time"):
            queue.page(10, Order())
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("status", [302, 404, 410])
def test_what_comes_in_between_later_is_waited_out(rules: ClaimRules, status: int) -> None:
    answers = iter([(200, '{"pending": 0}'), (status, "<html>The tunnel is offline</html>")])
    with impostor(lambda _: next(answers)) as (url, _):
        queue = queue_at(url, rules)
        assert queue.count_pending(Order()) == 0
        with pytest.raises(DatabaseUnavailable):
            queue.page(10, Order())


@pytest.mark.parametrize(("more", "seconds"), [({}, None), ({"audio_seconds": 70.5}, 70.5)])
def test_an_older_coordinator_counts_without_a_length(
    rules: ClaimRules, more: dict[str, float], seconds: float | None
) -> None:
    with impostor(lambda _: (200, json.dumps({"pending": 3} | more))) as (url, _):
        assert queue_at(url, rules).pending(Order()) == Pending(3, seconds)


@pytest.mark.parametrize("path", ["@127.0.0.1:1/secret", ".evil.example/x", "/api/options"])
def test_a_coordinator_names_no_other_address(rules: ClaimRules, path: str) -> None:
    wanted = Chunk(ObjectId(), None, 0)
    message = {"id": str(wanted.id), "source_id": None, "index": 0}
    answer = {
        "worker_id": "mac_1", "claim_id": str(ObjectId()), "lease_seconds": 60, "options": {},
        "tasks": [{"chunk": message, "audio": path}],
    }  # fmt: skip
    with impostor(lambda _: (200, json.dumps(answer))) as (url, asked):
        queue = queue_at(url, rules)
        with pytest.raises(DatabaseUnavailable, match="cannot be read"):
            queue.claim(wanted)
    assert set(asked) == {"/tasks/claim"}


def test_a_coordinator_that_is_not_there_is_a_database_that_is_away(rules: ClaimRules) -> None:
    queue = queue_at(f"http://127.0.0.1:{free_port()}", rules)
    with pytest.raises(DatabaseUnavailable, match="does not answer"):
        queue.count_pending(Order())
