"""What a node may be called, whether it is at work, and what is kept for it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from stt.domain.node import (
    AskedTest,
    Job,
    Node,
    clean_name,
    clean_text,
    new_node_id,
    reserved_slots,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FAST = Node(
    id="fast-0001", name="fast", priority=10, seen_at=NOW, worker_state="working", slots=4
)  # fmt: skip
SLOW = replace(FAST, id="slow-0002", priority=0)
JOB = Job(("a", "b"), "talk.mp3", seconds=60.0, elapsed_seconds=5.0)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def reserved(node: Node, *others: Node) -> int:
    return reserved_slots(node, [node, *others], NOW, offline_seconds=60)


def test_what_a_better_node_has_free_is_kept_for_it() -> None:
    assert reserved(SLOW, FAST) == 4
    assert reserved(SLOW, replace(FAST, reported_chunks=3)) == 1


def test_nothing_is_kept_for_an_equal_or_a_lesser_node() -> None:
    assert reserved(FAST, SLOW) == 0
    assert reserved(SLOW, replace(FAST, priority=0)) == 0


def test_what_several_better_nodes_have_free_adds_up() -> None:
    assert reserved(SLOW, FAST, replace(FAST, id="fast-0003", slots=2)) == 6


@pytest.mark.parametrize(
    "changed",
    [
        {"is_enabled": False},
        {"worker_state": "draining"},
        {"worker_state": "stopped"},
        {"worker_state": ""},
        {"seen_at": ago(60)},
        {"seen_at": None},
        {"slots": 0},
    ],
)
def test_nothing_is_kept_for_who_takes_nothing(changed: dict[str, object]) -> None:
    assert reserved(SLOW, replace(FAST, **changed)) == 0  # type: ignore[arg-type]


def test_a_node_with_more_in_work_than_it_has_slots_takes_nothing_from_others() -> None:
    busy = replace(FAST, reported_chunks=30)
    assert reserved(SLOW, busy, replace(FAST, id="fast-0003")) == 4


def test_a_node_is_online_until_it_was_silent_for_too_long() -> None:
    assert replace(FAST, seen_at=ago(59.9)).state(NOW, 60) == "online"
    assert replace(FAST, seen_at=ago(60)).state(NOW, 60) == "offline"
    assert Node(id="new-0004", name="new").state(NOW, 60) == "offline"


def test_a_node_that_has_shut_down_is_offline_at_once() -> None:
    assert replace(FAST, worker_state="stopped").state(NOW, 60) == "offline"


def test_a_node_with_chunks_in_work_is_busy() -> None:
    assert replace(FAST, reported_chunks=1).state(NOW, 60) == "busy"


def test_the_later_word_says_what_is_in_work() -> None:
    heartbeat = replace(FAST, seen_at=ago(10), reported_chunks=7)
    assert replace(heartbeat, jobs=(JOB,), jobs_at=ago(20)).chunks_in_work == 7
    assert replace(heartbeat, jobs=(JOB,), jobs_at=ago(5)).chunks_in_work == 2
    assert replace(heartbeat, jobs=(), jobs_at=ago(5)).chunks_in_work == 0


def test_a_job_goes_on_while_nobody_speaks_of_it() -> None:
    node = replace(FAST, jobs=(JOB,), jobs_at=ago(3))
    assert node.current_jobs(NOW) == (replace(JOB, elapsed_seconds=8.0),)


def test_a_job_of_long_ago_is_not_shown() -> None:
    assert replace(FAST, jobs=(JOB,), jobs_at=ago(31)).current_jobs(NOW) == ()
    assert FAST.current_jobs(NOW) == ()


def test_a_test_is_put_to_a_node_while_somebody_waits_for_it() -> None:
    assert replace(FAST, asked_test=AskedTest("t", ago(14))).test_to_put(NOW) == "t"
    assert replace(FAST, asked_test=AskedTest("t", ago(15))).test_to_put(NOW) is None
    assert FAST.test_to_put(NOW) is None


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("  M4 MacBook Pro ", "M4 MacBook Pro"),
        ("<img onerror=alert(1)>", "<img onerror=alert(1)>"),
        ("../../x", "../../x"),
        ("Cafe\u0301", "Café"),
        ("מחשב", "מחשב"),
        ("x" * 100, "x" * 100),
    ],
)
def test_a_name_is_text(given: str, name: str) -> None:
    assert clean_name(given) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "   ", "x" * 101, "a\nb", "a\x00b", "a\x7fb", "abc\u202egpj", "a\ud800b", "a\u2028b"),
        *("a\u200eb", "a\u200bb", "a\u061cb", "a\u200db"),
    ],
)
def test_a_name_that_cannot_be_shown_on_a_line_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a name has"):
        clean_name(name)


def test_what_a_machine_says_of_itself_stays_on_one_line() -> None:
    assert clean_text(" Linux\n6.1\x1b[31m ") == "Linux?6.1?[31m"
    assert clean_text("a\u200fb\u2066c\u200bd.wav") == "a?b?c?d.wav"


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("M4 MacBook Pro", "m4-macbook-pro"),
        ("Zoë's PC!", "zoe-s-pc"),
        ("__x__", "x"),
        ("机器", "node"),
        ("-" * 100, "node"),
        ("y" * 100, "y" * 55),
    ],
)
def test_an_id_is_made_of_the_name_and_chance(name: str, slug: str) -> None:
    node_id = new_node_id(name)
    start, _, chance = node_id.rpartition("-")
    assert (start, len(chance), len(node_id) <= 60) == (slug, 4, True)
