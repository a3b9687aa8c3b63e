"""What a coordinator does by itself: it frees the claims of workers that fell silent."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bson import ObjectId

from stt.store.database import Database
from tests.support.coordinator_app import running_coordinator
from tests.support.queue_builder import add_chunks


def is_free(database: Database, chunk_id: ObjectId) -> bool:
    document = database.chunks.find_one({"_id": chunk_id})
    assert document is not None
    return document["processing_by"] is None


def test_claims_that_have_run_out_are_freed_at_the_start_and_again_and_again(
    database: Database, tmp_path: Path
) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    silent: dict[str, Any] = {
        "processing_by": "gone_1",
        "claimed_at": long_ago,
        "claim_id": ObjectId(),
    }
    (first,) = add_chunks(database, 1, **silent)
    with running_coordinator(database, tmp_path, lease_seconds=1):
        deadline = time.monotonic() + 180
        while not is_free(database, first) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert is_free(database, first)
        (later,) = add_chunks(database, 1, **silent)
        while not is_free(database, later) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert is_free(database, later)
