"""A file that is received, over a log that a test answers for."""

import hashlib
from pathlib import Path
from unittest.mock import Mock

import pytest
from bson import ObjectId

from stt.coordinator.errors import Gone, OutOfSpace, TooLarge
from stt.coordinator.store.uploads import UploadLog
from stt.coordinator.uploads import incoming
from stt.coordinator.uploads.incoming import IncomingFile
from stt.coordinator.uploads.spool import Spool
from stt.errors import DatabaseUnavailable
from stt.store.ingest_options import IngestOptions


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "uploads")


@pytest.fixture
def log() -> Mock:
    log = Mock(UploadLog)
    log.update.return_value = True
    return log


def receive(log: Mock, spool: Spool, *, expected: int = 10, most: int = 100) -> IncomingFile:
    options = IngestOptions(language="de")
    return IncomingFile(
        log, spool, "a/b/talk\x00.wav", options, expected_bytes=expected, max_bytes=most
    )


def test_it_is_logged_under_a_clean_name_with_its_options(log: Mock, spool: Spool) -> None:
    file = receive(log, spool)
    [call] = log.begin.call_args_list
    id_, spool_id, name, size, options = call.args
    assert (id_, spool_id, size) == (file.id, spool.id, 10)
    assert name == "a/b/talk\ufffd.wav"
    assert options["language"] == "de"
    file.break_off("end of the test")


def test_a_whole_file_waits_with_its_size_and_hash_and_is_not_locked(
    log: Mock, spool: Spool
) -> None:
    file = receive(log, spool)
    file.write(b"RIFF")
    file.write(bytearray(b"WAVE"))
    assert file.finish() is log.get.return_value
    [call] = log.update.call_args_list
    sha256 = hashlib.sha256(b"RIFFWAVE").hexdigest()
    assert call.kwargs == {
        "state": "waiting", "bytes": 8, "received_bytes": 8, "sha256": sha256,
    }  # fmt: skip
    with spool.hold(file.id) as held:
        assert held is not None
        assert held.path.read_bytes() == b"RIFFWAVE"


def test_a_file_may_have_its_limit_and_no_byte_more(log: Mock, spool: Spool) -> None:
    file = receive(log, spool, most=1024**2)
    file.write(bytes(1024**2))
    with pytest.raises(TooLarge, match="is larger than 1 MB"):
        file.write(b"x")
    file.break_off("too large")
    assert spool.ids() == set()


def test_what_cannot_fit_is_refused_before_anything_is_written(
    log: Mock, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "free_bytes", lambda: 0)
    with pytest.raises(OutOfSpace):
        receive(log, spool)
    log.begin.assert_not_called()
    assert spool.ids() == set()


def test_a_database_that_is_away_at_the_beginning_leaves_no_file(log: Mock, spool: Spool) -> None:
    log.begin.side_effect = DatabaseUnavailable("away")
    with pytest.raises(DatabaseUnavailable):
        receive(log, spool)
    assert spool.ids() == set()


def test_one_that_was_cancelled_meanwhile_is_gone(
    log: Mock, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "_PROGRESS_SECONDS", 0.0)
    file = receive(log, spool)
    log.update.return_value = False
    with pytest.raises(Gone, match="cancelled"):
        file.write(b"RIFF")
    with pytest.raises(Gone, match="cancelled"):
        file.finish()
    file.break_off("cancelled")


def test_progress_is_not_worth_an_upload_when_the_database_is_away(
    log: Mock, spool: Spool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(incoming, "_PROGRESS_SECONDS", 0.0)
    file = receive(log, spool)
    log.update.side_effect = DatabaseUnavailable("away")
    for _ in range(3):
        file.write(b"x")
    assert log.update.call_count == 1  # it is tried again after some seconds
    assert "goes on: away" in caplog.text
    file.break_off("end of the test")


def test_a_half_is_removed_even_if_that_cannot_be_logged(
    log: Mock, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    file = receive(log, spool)
    log.fail.side_effect = DatabaseUnavailable("away")
    file.break_off("It broke off.")
    log.fail.assert_called_once_with(file.id, "It broke off.")
    assert spool.ids() == set()
    assert "broke off: away" in caplog.text


def test_the_processor_cannot_give_another_reason_while_one_is_logged(
    log: Mock, spool: Spool
) -> None:
    file, held = receive(log, spool), []

    def fail(upload_id: ObjectId, _reason: str) -> None:
        with spool.hold(upload_id) as found:
            held.append(found)

    log.fail.side_effect = fail
    file.break_off("too large")
    assert held == [None]
    assert spool.ids() == set()
