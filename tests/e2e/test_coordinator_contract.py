"""The coordinator against its own OpenAPI schema: whatever is sent, no answer is a 500."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stt.store.database import Database
from tests.support import coordinator_contract_hooks
from tests.support.coordinator_app import PEOPLES_KEY, running_coordinator
from tests.support.paths import ROOT
from tests.support.queue_builder import add_chunks, add_recording

pytestmark = pytest.mark.fuzz

UNDECIDABLE = ",".join((
    # The schema cannot say which recordings and nodes there are, or which states they are in;
    "positive_data_acceptance", "negative_data_rejection",
    # that wrong keys slow down (test_coordinator_access.py tries every address without one);
    "ignored_auth",
    # or that a page has the same address as what it asks, and /api/nodes/{id} as /join-codes.
    "unsupported_method", "allow_header_conformance",
))  # fmt: skip


def test_no_request_makes_the_coordinator_break_its_schema(
    database: Database, tmp_path: Path
) -> None:
    """Schemathesis draws requests for every operation, half of them about what is there."""
    recording_id = add_recording(database)
    chunk_id = add_chunks(database, 3, recording_id=recording_id, audio=b"no audio")[0]
    with running_coordinator(database, tmp_path) as running:
        node_id, _ = running.join()
        known = {"source_id": str(recording_id), "chunk_id": str(chunk_id), "node_id": node_id,
                 "filename": f"{chunk_id}.opus", "speaker": "SPEAKER_01"}  # fmt: skip
        ended = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"), "run",
                running.url + "/openapi.json", f"--header=Authorization: Bearer {PEOPLES_KEY}",
                f"--exclude-checks={UNDECIDABLE}", "--phases=fuzzing", "--max-examples=3",
                "--workers=2", "--generation-deterministic", "--no-color",
            ],
            env=os.environ | {"SCHEMATHESIS_HOOKS": coordinator_contract_hooks.__name__,
                              "PYTHONPATH": str(ROOT),
                              coordinator_contract_hooks.IDS: json.dumps(known)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
