"""A worker as people see it."""

import pytest

from stt.coordinator.schemas.status import WorkerOut
from stt.domain.claim import WorkerReport
from stt.store.workers import WorkerStatus


@pytest.mark.parametrize(("id_", "node_id"), [("mac-1f2e_7", "mac-1f2e"), ("box_7", None)])
def test_a_worker_belongs_to_a_node_only_if_there_is_one(id_: str, node_id: str | None) -> None:
    report = WorkerReport("box", 7, "1", "http://gpu", "working", 4, ("a",), {"transcribed": 3})
    shown = WorkerOut.of(WorkerStatus(id_, report, 3.04), {"mac-1f2e"})
    assert shown.model_dump(mode="json") == {
        "id": id_, "host": "box", "server": "http://gpu", "state": "working", "slots": 4,
        "chunks": ["a"], "counts": {"transcribed": 3}, "missing_models": [], "models": [],
            "finds_speakers": None,
        "age_seconds": 3.0, "is_alive": True,
        "node_id": node_id,
    }  # fmt: skip
