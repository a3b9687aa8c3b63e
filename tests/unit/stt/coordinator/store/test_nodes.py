"""Reading documents of nodes."""

from datetime import UTC, datetime

from stt.coordinator.store.nodes import read_node
from stt.domain.node import Job, Node, NodeTest

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_an_odd_document_is_a_node_with_defaults() -> None:
    odd = {
        "_id": "odd-0005", "name": 3, "priority": "high", "model": [], "seen_at": "today",
        "report": "none", "jobs": [7, {"chunk_ids": 1}], "test": {"id": 1}, "last_test": {"ok": 1},
    }  # fmt: skip
    nothing = Job((), "", 0.0, 0.0)
    assert read_node(odd) == Node(id="odd-0005", name="odd-0005", jobs=(nothing, nothing))


def test_a_last_test_without_an_answer_has_no_milliseconds() -> None:
    document = {"_id": "x-0006", "last_test": {"ok": False, "detail": "silent", "at": NOW}}
    assert read_node(document).last_test == NodeTest(False, "silent", None, NOW)
