"""Chunks changed by hand: which ones, and how the command says what became of them."""

from unittest.mock import Mock

import pytest
from bson import ObjectId

from stt.domain.chunk import Recording
from stt.store import claims, dismissal
from tests.unit.stt.cli.conftest import Run

A, B = ObjectId(), ObjectId()


@pytest.fixture
def retry(no_database: Mock, monkeypatch: pytest.MonkeyPatch) -> Mock:
    changed = Mock(return_value=1)
    monkeypatch.setattr(claims, "retry", changed)
    return changed


@pytest.fixture
def release(no_database: Mock, monkeypatch: pytest.MonkeyPatch) -> Mock:
    changed = Mock(return_value=1)
    monkeypatch.setattr(claims, "release", changed)
    return changed


def test_retry_without_a_name_is_for_every_failed_chunk(
    stt: Run, no_database: Mock, retry: Mock
) -> None:
    assert stt("retry") == 0
    retry.assert_called_once_with(no_database, [], None)
    assert stt.out == "1 chunk waiting again\n"


def test_retry_of_one_recording_finds_it_by_its_name(
    stt: Run, no_database: Mock, retry: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = Recording(ObjectId(), "talk.mp3")
    found = {"talk.mp3": talk}
    monkeypatch.setattr("stt.cli.chunks.MongoRecordings", lambda _: Mock(find=found.__getitem__))
    assert stt("retry", "--source", "talk.mp3") == 0
    retry.assert_called_once_with(no_database, [], talk.id)


def test_nothing_to_retry_is_no_error(stt: Run, retry: Mock) -> None:
    retry.return_value = 0
    assert stt("retry") == 0
    assert stt.out == "No chunk has failed\n"


@pytest.mark.parametrize(
    ("command", "done", "state"),
    [("retry", "waiting again", "failed"), ("release", "released", "being transcribed")],
)
def test_a_named_chunk_in_another_state_is_exit_code_1(
    stt: Run, retry: Mock, release: Mock, command: str, done: str, state: str
) -> None:
    assert stt(command, str(A), str(B)) == 1
    assert stt.out == f"1 of 2 chunks {done}; the others were not {state}\n"


def test_a_chunk_that_is_named_twice_counts_once(stt: Run, release: Mock) -> None:
    assert stt("release", str(A), str(A)) == 0
    assert stt.out == "1 chunk released\n"


def test_what_is_dismissed_has_to_be_named(
    stt: Run, no_database: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    dismiss, put_back = Mock(return_value=2), Mock(return_value=0)
    monkeypatch.setattr(dismissal, "dismiss", dismiss)
    monkeypatch.setattr(dismissal, "put_back", put_back)
    assert stt("dismiss") == stt("dismiss", str(A), "--all") == 2
    assert stt("dismiss", "--all") == 0
    assert stt.out == "2 chunks dismissed\n"
    assert stt("dismiss", "--all", "--undo") == 0
    assert stt.out == "No chunk is dismissed\n"
    assert stt("dismiss", str(A), "--undo") == 1
    assert stt.out == "0 of 1 chunk put back; the others were not dismissed\n"
    dismiss.assert_called_once_with(no_database, [], None)


@pytest.mark.parametrize("command", ["retry", "release", "dismiss"])
def test_what_is_no_id_is_refused_before_the_database_is_opened(stt: Run, command: str) -> None:
    assert stt(command, "talk.mp3") == 2
    assert "'talk.mp3' is not a chunk id" in " ".join(stt.err.split())
