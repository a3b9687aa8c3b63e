"""The server against its own OpenAPI schema: whatever a client sends gets what the schema says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import contract_hooks
from tests.support.paths import ROOT
from tests.support.whisper_stand_in import running

pytestmark = pytest.mark.fuzz

KEY = "open-sesame-for-all"
# The schema cannot say which model is loaded, or which words are languages; and a form has no
# types: 0 is a good `false`.
UNDECIDABLE = "positive_data_acceptance,negative_data_rejection"


def test_no_request_makes_the_server_break_its_schema(tmp_path: Path) -> None:
    """Over a stand-in engine; schemathesis goes through every field's edges, then draws some."""
    with running(API_KEY=KEY, MAX_QUEUE=100) as server:
        ended = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"), "run",
                server.url + "/openapi.json", f"--header=Authorization: Bearer {KEY}",
                f"--exclude-checks={UNDECIDABLE}", "--max-examples=3", "--workers=2",
                "--generation-deterministic", "--no-color",
            ],
            env=os.environ | {"SCHEMATHESIS_HOOKS": contract_hooks.__name__,
                              "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert server.engine.calls, "no request got as far as the engine"
