"""What the commands say of a model that no machine has."""

import pytest

from stt.cli.missing_model import note_missing_model
from stt.domain.claim import WorkerReport
from stt.store.database import Database
from stt.store.workers import MongoRoster


@pytest.mark.parametrize(
    ("model", "is_missing"), [("huge", True), ("base", False), ("whisper-1", False), (None, False)]
)
def test_a_model_that_no_machine_has_is_said_in_one_line(
    database: Database, capsys: pytest.CaptureFixture[str], model: str | None, is_missing: bool
) -> None:
    note_missing_model(database, model)
    assert capsys.readouterr().err == "", "without a machine nothing is known"
    report = WorkerReport(slots=1, models=("base", "tiny.en"))
    MongoRoster(database).report("box_1", report)
    note_missing_model(database, model)
    said = capsys.readouterr().err.split()
    assert ("huge:" in said, "base," in said) == (is_missing, is_missing)
